"""Validation curves of embeddings of equal size under equal budgets, with one command.

    python benchmarks/convergence/study.py WORK --regime tiny [--settings NAME ...] [--seeds 1 2 3] [--score]

WORK: Multi30k as `fairseq-alone prepare WORK CORPUS` leaves it. Every run is one call of `fairseq-alone train`, so an
interrupted study goes on where it stopped. Writes WORK/study/REGIME.md, REGIME-curves.png,
REGIME-map.png and runs.json, the record of all runs that are done. `--collect` does so without training.
"""

import argparse
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runs import Run, read_finished, read_record, run_name, write_record
from settings import REGIMES, SETTINGS, Regime, Setting
from tqdm import tqdm

from fairseq_alone.cli.figures import new_figure, save_figure, set_log_scale
from fairseq_alone.cli.markdown import markdown_table
from fairseq_alone.cli.plot import draw
from fairseq_alone.cli.product_bytes import MEGABYTES, megabytes
from fairseq_alone.text_files import read_lines, write_text


def vocabulary_size(work: Path) -> int:
    """Entries of the joined dictionary, fairseq's four symbols included."""
    language = next(line for line in (work / "prepare.settings").read_text().splitlines() if "TARGET_LANG" in line)
    return len(read_lines(str(work / f"data-bin/dict.{language.split('=')[1]}.txt"))) + 4


def work_of(work: Path, setting: Setting) -> Path:
    """The folder of recipes that a setting trains in."""
    return work if setting.merges is None else work / f"study/merges-{setting.merges}"


def prepare(work: Path, setting: Setting) -> None:
    """Split the text of ``work`` into other subwords, if the setting has others."""
    if setting.merges is not None:
        languages = dict(line.split("=") for line in (work / "prepare.settings").read_text().splitlines())
        sides = [f"--{side}-lang={languages[f'{side.upper()}_LANG']}" for side in ("source", "target")]
        _recipe("prepare", work_of(work, setting), work / "clean", "--merges", setting.merges, *sides)


def train(work: Path, name: str, regime: Regime, setting: Setting, epochs: int, seed: int, score: bool) -> None:
    """Train one model, and translate the test set if asked. Does nothing for what is done.

    Raises:
        RuntimeError: a command of the recipe failed; with the end of its output.
    """
    work = work_of(work, setting)
    size = vocabulary_size(work), regime.embed_dim
    options = {"--preset": "small", "--seed": str(seed), "--max-epoch": str(epochs), **setting.options(*size)}
    words = [word for option in options.items() for word in option]
    _recipe("train", work, name, "--quiet", *words, "--", *regime.flags, *setting.train_flags(*size))
    if score:
        _recipe("evaluate", work, name)


def _recipe(*words: object) -> None:
    command = [sys.executable, "-m", "fairseq_alone", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words[:3]))}: {(done.stdout + done.stderr).strip()[-2000:]}")


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


def by_setting(runs: list[Run]) -> dict[str, list[Run]]:
    """Runs that differ in the seed only, in the order of the first of each."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.setting, []).append(run)
    return groups


def mean_curve(runs: list[Run]) -> list[float]:
    """The geometric mean over seeds of the perplexity after each epoch, that is, the mean of the loss."""
    return [statistics.geometric_mean(values) for values in zip(*(run.perplexities for run in runs), strict=True)]


def table(groups: dict[str, list[Run]]) -> str:
    """Markdown: one row for each setting. With several seeds: means; behind the last perplexity and BLEU the range.

    Bytes are those of the first seed.
    """
    epochs = len(next(iter(groups.values()))[0].perplexities)
    shown = sorted({1, 2, 3, 4, 5, 6, 8, 10, 12, epochs} & set(range(1, epochs + 1)))
    sizes = [f"{part} {MEGABYTES}" for part in ("embedding", "model")]
    rows = [["setting", "values", "table = 1", "seeds", *(f"epoch {epoch}" for epoch in shown), "BLEU", *sizes]]
    for setting, runs in groups.items():
        curve = mean_curve(runs)
        scores = [run.bleu for run in runs if run.bleu is not None]
        products = runs[0].product_bytes
        sizes = ["-" if products is None else megabytes(products, part) for part in ("embedding", "model")]
        numbers = [f"{runs[0].embedding_parameters:,}", f"{runs[0].share:.2f}", str(len(runs))]
        perplexities = [perplexity_text(curve[epoch - 1]) for epoch in shown]
        perplexities[-1] += range_text([run.perplexities[-1] for run in runs], perplexity_text)
        bleu = bleu_text(statistics.mean(scores)) + range_text(scores, bleu_text) if scores else "-"
        rows.append([setting, *numbers, *perplexities, bleu, *sizes])
    return markdown_table(rows, left_aligned=1)


def perplexity_text(value: float) -> str:
    """Three digits."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def bleu_text(value: float) -> str:
    """One digit behind the point: no seed is sure of more."""
    return f"{value:.1f}"


def range_text(values: list[float], text) -> str:
    """The least and the greatest of several values, in brackets; nothing for one value."""
    return f" ({text(min(values))} to {text(max(values))})" if len(values) > 1 else ""


def draw_curves(groups: dict[str, list[Run]], path: Path) -> None:
    """Validation perplexity against epochs, one line for each setting."""
    curves = [(name, list(range(1, len(runs[0].perplexities) + 1)), mean_curve(runs)) for name, runs in groups.items()]
    figure = draw(curves, "epochs", "validation perplexity", True, None)
    save_figure(figure, str(path))


def draw_map(groups: dict[str, list[Run]], path: Path) -> None:
    """Perplexity after the last epoch against the size of the embedding, one line for each series."""
    points: dict[str, list[tuple[float, float]]] = {}
    for setting, runs in groups.items():
        if SETTINGS[setting].series:
            points.setdefault(SETTINGS[setting].series, []).append((runs[0].share, mean_curve(runs)[-1]))
    figure, axes = new_figure(height=4.5)
    for (series, places), marker in zip(points.items(), "osD^vP*X", strict=False):
        axes.plot(*zip(*sorted(places), strict=True), label=series, marker=marker)
    axes.set_xlabel("size of the embedding, conventional table = 1")
    axes.set_ylabel("validation perplexity after the last epoch")
    set_log_scale(axes, (1, 1.5, 2, 3, 5, 7))
    axes.grid(alpha=0.3)
    if points:
        axes.legend()
    save_figure(figure, str(path))


def main() -> None:
    """Train what is missing, then write the record, the table and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder that fairseq-alone prepare wrote")
    parser.add_argument("--regime", choices=REGIMES, default="tiny")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, metavar="NAME", default=list(SETTINGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--epochs", type=int, help="default: that of the regime")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings at a time, one thread each")
    parser.add_argument("--score", action="store_true", help="also translate the test set")
    parser.add_argument(
        "--record",
        type=Path,
        help="JSON file of all finished runs, to which those of this study are added; they are shown with runs of the "
        "same settings that it has from elsewhere; default: WORK/study/runs.json",
    )
    parser.add_argument("--collect", action="store_true", help="train nothing; use the runs that are done")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args()
    regime = REGIMES[args.regime]
    epochs = args.epochs or regime.epochs
    prepared = (args.work / "prepare.settings").is_file()
    if not (prepared or args.collect):
        parser.error(f"{args.work}/prepare.settings is missing; run fairseq-alone prepare first")
    if not args.collect:
        for name in args.settings:
            prepare(args.work, SETTINGS[name])
            try:
                SETTINGS[name].options(vocabulary_size(work_of(args.work, SETTINGS[name])), regime.embed_dim)
            except ValueError as error:
                parser.error(f"{name}: {error}")
        jobs = [
            (args.work, run_name(args.regime, name, epochs, seed), regime, SETTINGS[name], epochs, seed, args.score)
            for seed in args.seeds
            for name in args.settings
        ]
        train_all(jobs, args.jobs, args.quiet)
    folder = args.work / "study"
    folder.mkdir(parents=True, exist_ok=True)
    record = args.record or folder / "runs.json"
    known = read_record(record)
    wanted = [(args.regime, name, epochs, seed) for name in args.settings for seed in args.seeds]
    if prepared:
        folders = [work_of(args.work, SETTINGS[setting]) for _, setting, _, _ in wanted]
        finished = [
            read_finished(folder, *run, vocabulary_size(folder))
            for folder, run in zip(folders, wanted, strict=True)
            if (folder / "prepare.settings").is_file()
        ]
        known.update((run.name, run) for run in finished if run)
        write_record(record, known)
    groups = by_setting([known[run_name(*run)] for run in wanted if run_name(*run) in known])
    if not groups:
        parser.error("no run is done yet")
    text = table(groups)
    print(text)
    write_text(str(folder / f"{args.regime}.md"), text + "\n")
    draw_curves(groups, folder / f"{args.regime}-curves.png")
    draw_map(groups, folder / f"{args.regime}-map.png")


if __name__ == "__main__":
    main()
