"""``fairseq-alone score-headlines``: ROUGE and length control of generated headlines, beside a lead baseline."""

import argparse
import json
from collections.abc import Callable

from tqdm import tqdm

from fairseq_alone.cli.figures import new_figure, save_figure
from fairseq_alone.cli.markdown import markdown_table
from fairseq_alone.cli.rouge import MEASURES, add_references, count_empty_references, read_references, rouge_155
from fairseq_alone.errors import UserError
from fairseq_alone.files import require_apart
from fairseq_alone.text_files import count_empty, is_blank, read_lines, write_json

_LEFT_ALIGNED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``score-headlines``."""
    parser.add_argument(
        "--headlines",
        required=True,
        action="append",
        nargs=3,
        metavar=("NAME", "LENGTH", "FILE"),
        help="headlines, one a line, and the characters they should have: a number, 0 = as the first reference, or "
        "'free' = none was asked for; give it once for each file",
    )
    parser.add_argument("--source", required=True, metavar="FILE", help="source sentences, for the lead baseline")
    add_references(parser)
    parser.add_argument("--plot", metavar="FILE.png", help="draw the distribution of the lengths")
    parser.add_argument("--plot-name", metavar="NAME", help="the headlines to draw; default: NAME of the last file")
    parser.add_argument("--output", metavar="FILE", help="write all scores here, as JSON")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> None:
    """Score, print, write, draw."""
    inputs = [args.source, *args.references, *(path for _, _, path in args.headlines)]
    require_apart([("--output", args.output), ("--plot", args.plot)], inputs)
    drawn = args.plot_name or args.headlines[-1][0]
    if args.plot:
        if not args.plot.endswith(".png"):
            raise UserError(f"--plot must end in .png, got {args.plot}")
        if drawn not in [name for name, _, _ in args.headlines]:
            raise UserError(f"--plot-name {drawn}: no --headlines has this name")
    sources = read_lines(args.source)
    references = read_references(args.references, expected=len(sources), of=args.source)
    empty_sources = count_empty(args.source, sources, args.strict)
    empty_references = count_empty_references(args.references, references, args.strict)
    systems = []
    for name, length, path in args.headlines:
        lines = read_lines(path)
        if len(lines) != len(sources):
            raise UserError(f"{path} has {len(lines)} headlines, but {args.source} has {len(sources)} sentences")
        systems.append((name, parse_length(length), lines))
    systems = with_leads(systems, sources)
    silent = True if args.quiet else None
    results = [
        {
            "headlines": name,
            "desired_length": length,
            **length_statistics(lines, desired_lengths(length, references[0])),
            **rouge_155(lines, references, args.bytes),
        }
        for name, length, lines in tqdm(systems, "ROUGE", disable=silent, leave=False)
    ]
    report = {
        "sentences": len(sources),
        "references": len(references),
        "empty_sources": empty_sources,
        "empty_references": empty_references,
        "rouge": results[0]["options"],
        "results": [{key: value for key, value in result.items() if key != "options"} for result in results],
    }
    if args.output:
        write_json(args.output, report)
    if args.plot:
        plot(args.plot, [(length, lines) for name, length, lines in systems if name == drawn], drawn)
    print(json.dumps(report, indent=1, ensure_ascii=False) if args.json else markdown(report))


def parse_length(text: str) -> int | None:
    """The desired length; None for ``free``.

    Raises:
        UserError: neither a whole number nor ``free``.
    """
    if text == "free":
        return None
    if not text.isdecimal():
        raise UserError(f"--headlines: LENGTH must be a whole number or 'free', got '{text}'")
    return int(text)


def with_leads(systems: list[tuple], sources: list[str]) -> list[tuple]:
    """The systems by desired length, each length led by its baseline: the first bytes of the source."""
    lengths = list(dict.fromkeys(length for _, length, _ in systems))
    ordered = []
    for length in lengths:
        if length:
            ordered.append(("lead", length, [first_bytes(source, length) for source in sources]))
        ordered += [system for system in systems if system[1] == length]
    return ordered


def first_bytes(text: str, count: int) -> str:
    """The first ``count`` bytes in UTF-8, without a character that would be cut. May end within a word, as in DUC."""
    return text.encode("utf-8")[:count].decode("utf-8", "ignore")


def desired_lengths(length: int | None, references: list[str]) -> list[int] | None:
    """The desired length of each headline: None, the lengths of the references (0), or the same for all."""
    if length is None:
        return None
    return [length or len(reference) for reference in references]


def length_statistics(lines: list[str], desired: list[int] | None) -> dict:
    """Lengths in characters (code points) and their distance from the desired ones.

    ``length_variance`` is ``1/n * sum((length - desired) ** 2)``, in squared characters, not scaled: that is what the
    script of Takase and Okazaki computes (calculate_variance_from_fixlength.py in their repository).

    Args:
        lines: n headlines, n > 0.
        desired: n lengths, or None.

    Returns:
        ``mean_length``, ``empty`` (int), and, None without desired lengths, ``length_variance``,
        ``mean_absolute_difference``, and ``fit``: the share of headlines that are not longer than desired, 0 to 1.
    """
    lengths = [len(line) for line in lines]
    count = len(lengths)
    statistics = {
        "mean_length": sum(lengths) / count,
        "empty": sum(map(is_blank, lines)),
        "length_variance": None,
        "mean_absolute_difference": None,
        "fit": None,
    }
    if desired is not None:
        differences = [length - wish for length, wish in zip(lengths, desired, strict=True)]
        statistics["length_variance"] = sum(difference**2 for difference in differences) / count
        statistics["mean_absolute_difference"] = sum(map(abs, differences)) / count
        statistics["fit"] = sum(difference <= 0 for difference in differences) / count
    return statistics


def _number(key: str, form: str) -> Callable[[dict], str]:
    """A function from a result to the text of one of its numbers, '-' if there is none."""
    return lambda result: "-" if result[key] is None else form.format(result[key])


def _recall(measure: str) -> Callable[[dict], str]:
    return lambda result: f"{100 * result[measure]['recall']:.2f}"


_COLUMNS: dict[str, Callable[[dict], object]] = {
    "headlines": lambda result: result["headlines"],
    "desired": lambda result: {None: "free", 0: "reference"}.get(result["desired_length"], result["desired_length"]),
    **{name: _recall(name) for name in MEASURES},
    "mean length": _number("mean_length", "{:.1f}"),
    "variance": _number("length_variance", "{:.2f}"),
    "mean difference": _number("mean_absolute_difference", "{:.2f}"),
    "fit": _number("fit", "{:.1%}"),
    "empty": _number("empty", "{}"),
}


def markdown(report: dict) -> str:
    """A Markdown table with aligned columns; below it how the numbers were made."""
    rows = [list(_COLUMNS)] + [[str(cell(result)) for cell in _COLUMNS.values()] for result in report["results"]]
    lines = [markdown_table(rows, _LEFT_ALIGNED)]
    lines += [
        "",
        f"{report['sentences']} sentences, {report['references']} reference(s); recall in percent, {report['rouge']}. "
        "Lengths in characters; lead: the first bytes of the source, as many as desired. "
        f"Empty: {report['empty_sources']} sentences, {report['empty_references']} references.",
    ]
    return "\n".join(lines)


def plot(path: str, systems: list[tuple[int | None, list[str]]], name: str) -> None:
    """Draw the share of headlines at each length, one curve for each desired length.

    Raises:
        UserError: matplotlib is not installed.
    """
    figure, axes = new_figure(height=4)
    for number, (length, lines) in enumerate(systems):
        lengths = [len(line) for line in lines]
        # One bin for each length: its edges lie half a character beside it.
        edges = [edge - 0.5 for edge in range(min(lengths), max(lengths) + 2)]
        label = {None: "no desired length", 0: "length of the reference"}.get(length, f"desired length {length}")
        share = [1 / len(lengths)] * len(lengths)
        axes.hist(lengths, edges, weights=share, alpha=0.6, color=f"C{number}", label=label)
        if length:
            axes.axvline(length, color=f"C{number}", linestyle="--", linewidth=1)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("length of the headline (characters)")
    axes.set_ylabel("share of the headlines")
    # Above the axes: at the end of the axis it would hide the longest headlines.
    figure.legend(loc="outside upper center", ncols=3)
    save_figure(figure, path)
