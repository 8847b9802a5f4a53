"""Validation curves of embeddings of equal size under equal budgets, with one command.

    python benchmarks/convergence/study.py WORK --regime tiny [--settings NAME ...] [--seeds 1 2 3] [--score]

WORK: Multi30k as `PRESET=small examples/wmt_ende/prepare.sh WORK CORPUS` leaves it. Every run is one call of that
recipe's train.sh, so an interrupted study goes on where it stopped. Writes WORK/study/REGIME.md, .json, -curves.png and
-map.png; `--collect` does so from the runs that are done, without training.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from settings import REGIMES, SETTINGS, Regime, Setting
from tqdm import tqdm

from fairseq_alone.cli.compare import read_run
from fairseq_alone.cli.figures import new_figure, save_figure
from fairseq_alone.cli.markdown import markdown_table
from fairseq_alone.cli.plot import draw
from fairseq_alone.cli.training_log import read_training_log
from fairseq_alone.files import replaced_on_success

RECIPE = Path(__file__).parents[2] / "examples/wmt_ende"


def vocabulary_size(work: Path) -> int:
    """Entries of the joined dictionary, fairseq's four symbols included."""
    language = next(line for line in (work / "prepare.settings").read_text().splitlines() if "TARGET_LANG" in line)
    return len((work / f"data-bin/dict.{language.split('=')[1]}.txt").read_text(encoding="utf-8").splitlines()) + 4


def run_name(regime: str, setting: str, epochs: int, seed: int) -> str:
    """The folder in WORK/runs."""
    return f"study-{regime}-{setting}-epochs{epochs}-seed{seed}"


def train(work: Path, name: str, regime: Regime, setting: Setting, epochs: int, seed: int, score: bool) -> None:
    """Train one model, and translate the test set if asked. Does nothing for what is done.

    Raises:
        RuntimeError: a script of the recipe failed; with the end of its output.
    """
    size = vocabulary_size(work), regime.embed_dim
    variables = {"PRESET": "small", "PYTHON": sys.executable, "QUIET": "1", "OMP_NUM_THREADS": "1"}
    variables.update(SEED=str(seed), MAX_EPOCH=str(epochs), **setting.variables(*size))
    commands = [[RECIPE / "train.sh", work, name, *regime.flags, *setting.train_flags(*size)]]
    if score:
        commands.append([RECIPE / "evaluate.sh", work, name])
    for command in commands:
        done = subprocess.run(
            list(map(str, command)), env={**os.environ, **variables}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{name}: {(done.stdout + done.stderr).strip()[-2000:]}")


def train_all(jobs: list[tuple], workers: int, quiet: bool) -> None:
    """Call :func:`train` with each job's arguments, ``workers`` at a time. After a failure no other is begun."""
    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(jobs), unit="run", disable=quiet) as bar:
        futures = [pool.submit(train, *job) for job in jobs]
        for future in futures:
            future.add_done_callback(lambda _: bar.update())
        try:
            for future in futures:
                future.result()
        except RuntimeError as error:
            pool.shutdown(cancel_futures=True)
            sys.exit(f"study.py: error: {error}")


def collect(work: Path, regime: str, names: list[str], epochs: int, seeds: list[int]) -> list[dict]:
    """What the finished runs showed: for each setting its size, and perplexities and BLEU by seed."""
    results = []
    for name in names:
        runs = [work / "runs" / run_name(regime, name, epochs, seed) for seed in seeds]
        runs = [run for run in runs if (run / "done").exists()]
        if not runs:
            continue
        tables = [read_run(str(run)) for run in runs]
        curves = [[v.ppl for v in read_training_log(str(run / "train.log")).validations] for run in runs]
        results.append(
            {
                "setting": name,
                "series": SETTINGS[name].series,
                "embedding_parameters": tables[0]["embedding_parameters"],
                "perplexities": curves,
                "BLEU": [table["BLEU"]["score"] for table in tables if table["BLEU"] is not None],
                "train_seconds": [table["train_seconds"] for table in tables],
            }
        )
    return results


def mean_curve(result: dict) -> list[float]:
    """The geometric mean over seeds of the perplexity after each epoch, that is, the mean of the loss."""
    return [statistics.geometric_mean(values) for values in zip(*result["perplexities"], strict=True)]


def table(results: list[dict], table_values: int) -> str:
    """Markdown: one row for each setting."""
    epochs = len(results[0]["perplexities"][0])
    shown = sorted({1, 2, 3, 4, 5, 6, 8, 10, 12, epochs} & set(range(1, epochs + 1)))
    rows = [["setting", "values", "table = 1", "seeds", *(f"epoch {epoch}" for epoch in shown), "BLEU"]]
    for result in results:
        curve = mean_curve(result)
        values = result["embedding_parameters"]
        bleu = "-"
        if result["BLEU"]:
            bleu = f"{statistics.mean(result['BLEU']):.1f}"
            if len(result["BLEU"]) > 1:
                bleu += f" ({min(result['BLEU']):.1f} to {max(result['BLEU']):.1f})"
        numbers = [f"{values:,}", f"{values / table_values:.2f}", str(len(result["perplexities"]))]
        rows.append([result["setting"], *numbers, *(f"{curve[epoch - 1]:.1f}" for epoch in shown), bleu])
    return markdown_table(rows, left_aligned=1)


def draw_curves(results: list[dict], path: Path) -> None:
    """Validation perplexity against epochs, one line for each setting."""
    curves = [(r["setting"], list(range(1, len(mean_curve(r)) + 1)), mean_curve(r)) for r in results]
    figure = draw(curves, "epochs", "validation perplexity", True, None)
    save_figure(figure, str(path))


def draw_map(results: list[dict], table_values: int, path: Path) -> None:
    """Perplexity after the last epoch against the size of the embedding, one line for each series."""
    figure, axes = new_figure(height=4.5)
    for series, marker in zip(dict.fromkeys(r["series"] for r in results if r["series"]), "osD^vP*X", strict=False):
        points = sorted(
            (r["embedding_parameters"] / table_values, mean_curve(r)[-1]) for r in results if r["series"] == series
        )
        axes.plot(*zip(*points, strict=True), label=series, marker=marker)
    axes.set_xlabel("size of the embedding, conventional table = 1")
    axes.set_ylabel("validation perplexity after the last epoch")
    axes.set_yscale("log")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    save_figure(figure, str(path))


def main() -> None:
    """Train what is missing, then write the table and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder that the recipe's prepare.sh wrote")
    parser.add_argument("--regime", choices=REGIMES, default="tiny")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, metavar="NAME", default=list(SETTINGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--epochs", type=int, help="default: that of the regime")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings at a time, one thread each")
    parser.add_argument("--score", action="store_true", help="also translate the test set")
    parser.add_argument("--collect", action="store_true", help="train nothing; use the runs that are done")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args()
    if not (args.work / "prepare.settings").is_file():
        parser.error(f"{args.work}/prepare.settings is missing; run examples/wmt_ende/prepare.sh first")
    regime = REGIMES[args.regime]
    epochs = args.epochs or regime.epochs
    if not args.collect:
        for name in args.settings:
            try:
                SETTINGS[name].variables(vocabulary_size(args.work), regime.embed_dim)
            except ValueError as error:
                parser.error(f"{name}: {error}")
        jobs = [
            (args.work, run_name(args.regime, name, epochs, seed), regime, SETTINGS[name], epochs, seed, args.score)
            for seed in args.seeds
            for name in args.settings
        ]
        train_all(jobs, args.jobs, args.quiet)
    results = collect(args.work, args.regime, args.settings, epochs, args.seeds)
    if not results:
        parser.error("no run is done yet")
    folder = args.work / "study"
    folder.mkdir(exist_ok=True)
    table_values = vocabulary_size(args.work) * regime.embed_dim
    text = table(results, table_values)
    print(text)
    for suffix, content in ((".md", text), (".json", json.dumps(results, indent=1))):
        with replaced_on_success(str(folder / f"{args.regime}{suffix}")) as part:
            Path(part).write_text(content + "\n")
    draw_curves(results, folder / f"{args.regime}-curves.png")
    draw_map(results, table_values, folder / f"{args.regime}-map.png")


if __name__ == "__main__":
    main()
