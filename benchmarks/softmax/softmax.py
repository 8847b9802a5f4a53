"""Ways around the softmax over the whole vocabulary, measured: speed, size, and perplexity after equal work and time.

    python benchmarks/softmax/softmax.py DATA_BIN OUT [--rounds 3] [--minutes 10] [--updates 600] [--methods NAME ...]

DATA_BIN is a language model's data as `fairseq-alone prepare --recipe language_model` binarises it. Every round trains
each method for some updates, in turn, so a machine whose speed drifts is fair to all. Equal time is worked out from
that: a method makes as many updates as fit into the minutes at the speed that was measured. Perplexity is always that
of the whole distribution, on the first batches of the validation set. What is done is kept in OUT, so the command can
be interrupted; it writes OUT/results.json, OUT/table.md and OUT/curves.png.
"""

import argparse
import json
import os
import platform
import statistics
import sys
from pathlib import Path

import torch
from methods import EMBEDDINGS, METHODS
from tqdm import tqdm
from training import Setting, measure_perplexity, measure_speed

from fairseq_alone.cli.figures import new_figure, save_figure, set_log_scale
from fairseq_alone.cli.markdown import markdown_table
from fairseq_alone.text_files import read_lines, write_text

#: Parts of the minutes at which perplexity is measured.
PARTS = (1 / 8, 1 / 4, 1 / 2, 1)


def measure_speeds(setting: Setting, names: list[tuple[str, str]], args: argparse.Namespace, results: dict) -> None:
    """Add rounds to ``results`` until each method has ``args.rounds``."""
    with tqdm(total=args.rounds * len(names), unit="run", desc="speed", disable=args.quiet) as bar:
        for number in range(args.rounds):
            for method, embedding in names:
                rounds = results.setdefault(f"{method} {embedding}", {}).setdefault("rounds", [])
                if len(rounds) <= number:
                    rounds.append(measure_speed(setting, method, embedding, args.speed_updates))
                    write_results(args.out, results)
                bar.update()


def median(results: dict, name: str, measure: str) -> float:
    """Of the rounds of one method."""
    return statistics.median(row[measure] for row in results[name]["rounds"])


def updates_in(minutes: float, setting: Setting, words_per_second: float) -> int:
    """How many updates fit into the minutes, at least one."""
    return max(1, round(60 * minutes * words_per_second / (setting.words * setting.sequences)))


def milestones(setting: Setting, words_per_second: float, args: argparse.Namespace) -> list[int]:
    """The numbers of updates at which perplexity is measured: on the way to equal time, and at equal work."""
    parts = PARTS if args.minutes else ()
    numbers = {updates_in(part * args.minutes, setting, words_per_second) for part in parts}
    return sorted(numbers | ({args.updates} if args.updates else set()))


def measure_perplexities(
    setting: Setting, names: list[tuple[str, str]], args: argparse.Namespace, results: dict
) -> None:
    """Add the curve of each method to ``results``: numbers of updates, and perplexities."""
    for method, embedding in tqdm(names, unit="training", desc="perplexity", disable=args.quiet):
        name = f"{method} {embedding}"
        updates = milestones(setting, median(results, name, "words_per_second"), args)
        if updates:
            folder = args.out / "trainings" / f"{method}-{embedding}"
            values = measure_perplexity(setting, method, embedding, updates, folder)
            results[name]["curve"] = dict(zip(map(str, updates), values, strict=True))
            write_results(args.out, results)


def write_results(out: Path, results: dict) -> None:
    """Keep what was measured."""
    write_text(str(out / "results.json"), json.dumps(results, indent=1) + "\n")


def table(setting: Setting, names: list[tuple[str, str]], args: argparse.Namespace, results: dict) -> str:
    """One row a method; speeds are ratios to the full softmax over the same embedding, taken round by round."""
    header = ["method", "embedding", "training", "next word", "output, share of values"]
    header += [f"ppl after {args.updates:,} updates"] if args.updates else []
    header += [f"ppl after {args.minutes:g} minutes", "words seen"] if args.minutes else []
    rows = [header]
    for method, embedding in names:
        name = f"{method} {embedding}"
        own, full = results[name], results.get(f"full {embedding}")
        row = [METHODS[method].title, embedding]
        for measure in ("words_per_second", "next_words_per_second"):
            speed = f"{median(results, name, measure):,.0f} words/s"
            if full is not None:
                pairs = zip(own["rounds"], full["rounds"], strict=False)
                speed = f"{statistics.median(one[measure] / other[measure] for one, other in pairs):.2f} ({speed})"
            row.append(speed)
        last = own["rounds"][-1]
        row.append("tied" if last["output_is_input"] else f"{last['output_parameters'] / last['parameters']:.2f}")
        curve = {int(number): value for number, value in own.get("curve", {}).items()}
        row += [f"{curve[args.updates]:.1f}" if args.updates in curve else ""] if args.updates else []
        if args.minutes:
            until = updates_in(args.minutes, setting, median(results, name, "words_per_second"))
            row += (
                [f"{curve[until]:.1f}", f"{until * setting.words * setting.sequences:,}"]
                if until in curve
                else ["", ""]
            )
        rows.append(row)
    return markdown_table(rows, left_aligned=2)


def draw(setting: Setting, names: list[tuple[str, str]], results: dict, path: Path) -> None:
    """Perplexity against minutes of training."""
    figure, axes = new_figure(4.5)
    for method, embedding in names:
        name = f"{method} {embedding}"
        minutes = setting.words * setting.sequences / median(results, name, "words_per_second") / 60
        curve = sorted((int(number) * minutes, value) for number, value in results[name].get("curve", {}).items())
        if curve:
            style = "--" if embedding == "alone" else "-"
            axes.plot(
                *zip(*curve, strict=True),
                style,
                marker="o",
                markersize=3,
                label=f"{METHODS[method].title}, {embedding}",
            )
    axes.set_xscale("log")
    for formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        formatter("{x:g}")
    axes.set_xlabel("minutes of training")
    axes.set_ylabel("validation perplexity, whole distribution")
    set_log_scale(axes, (1, 2, 5))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    save_figure(figure, str(path))


def main() -> None:
    """Measure, print the table and draw the curves."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA_BIN", help="binarised text of a language model")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for what is measured")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="NAME")
    parser.add_argument("--embeddings", nargs="+", choices=EMBEDDINGS, default=list(EMBEDDINGS), metavar="NAME")
    parser.add_argument("--size", type=int, default=200, help="units of the LSTM")
    parser.add_argument("--words", type=int, default=35, help="of one sequence")
    parser.add_argument("--sequences", type=int, default=20, help="of one update")
    parser.add_argument("--rounds", type=int, default=3, help="of short trainings, for the speed")
    parser.add_argument("--speed-updates", type=int, default=12, help="of one short training")
    parser.add_argument("--updates", type=int, default=0, help="measure perplexity after so many; 0: do not")
    parser.add_argument("--minutes", type=float, default=0, help="measure perplexity after so many; 0: do not")
    parser.add_argument("--valid-batches", type=int, default=20, help="of 20 sequences, for the perplexity")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu", action="store_true", default=not torch.cuda.is_available())
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    args = parser.parse_args()
    args.quiet = args.quiet or not sys.stderr.isatty()
    vocabulary = len(read_lines(str(args.data / "dict.txt"))) + 4
    setting = Setting(
        args.data.resolve(),
        args.size,
        args.words,
        args.sequences,
        args.valid_batches,
        args.threads,
        args.cpu,
    )
    args.out.mkdir(parents=True, exist_ok=True)
    kept = args.out / "results.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    names = [(method, embedding) for embedding in args.embeddings for method in args.methods]
    measure_speeds(setting, names, args, results)
    measure_perplexities(setting, names, args, results)
    device = "CPU" if args.cpu else torch.cuda.get_device_name()
    where = f"V = {vocabulary:,}, {args.size} units, {args.words * args.sequences} words an update, {device}, "
    where += f"{args.threads} of {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}"
    text = f"{where}\n\n{table(setting, names, args, results)}\n"
    write_text(str(args.out / "table.md"), text)
    draw(setting, names, results, args.out / "curves.png")
    print(text, end="")


if __name__ == "__main__":
    main()
