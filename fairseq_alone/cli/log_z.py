"""``fairseq-alone log-z``: whether scores may be taken for log-probabilities: mean and spread of log Z."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Callable, Iterator

from tqdm import tqdm

from fairseq_alone.cli.fairseq_log import log_hidden

_ROWS = {
    "positions": "positions",
    "mean": "mean of log Z",
    "deviation": "standard deviation",
    "perplexity": "perplexity",
    "perplexity_unnormalized": "  with scores as they are",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``log-z``."""
    parser.add_argument(
        "checkpoints", nargs="+", metavar="CHECKPOINT", help="for translation, or language models; one column each"
    )
    parser.add_argument("data", metavar="DATA", help="the folder of the binarised data")
    parser.add_argument("--split", default="valid", metavar="NAME", help="of the data; default: valid")
    parser.add_argument("--json", action="store_true", help="print a list with one object for each checkpoint")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> None:
    """Measure, and print."""
    from fairseq_alone.inference.log_z import log_z_of

    descriptions = []
    for checkpoint in args.checkpoints:
        with log_hidden(), _progress(checkpoint, args.quiet) as progress:
            found = log_z_of(checkpoint, args.data, args.split, progress)
        descriptions.append({"path": checkpoint, "split": args.split, **found.describe()})
    print(json.dumps(descriptions, indent=2) if args.json else _table(descriptions))


@contextlib.contextmanager
def _progress(checkpoint: str, quiet: bool) -> Iterator[Callable[[int, int], object]]:
    with tqdm(desc=checkpoint, unit="batch", disable=True if quiet else None, leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _table(descriptions: list[dict]) -> str:
    rows = [["", *(description["path"] for description in descriptions)]]
    for name in ("positions", "mean", "deviation"):
        rows.append([_ROWS[name], *(_text(description[name]) for description in descriptions)])
    for share in descriptions[0]["quantiles"]:
        cells = [_text(description["quantiles"][share]) for description in descriptions]
        rows.append([f"  quantile {share}", *cells])
    for name in ("perplexity", "perplexity_unnormalized"):
        rows.append([_ROWS[name], *(_text(description[name]) for description in descriptions)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    )


def _text(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3f}" if abs(value) < 1e6 else f"{value:.3g}"
