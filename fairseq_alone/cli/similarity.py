"""``fairseq-alone similarity``: what word vectors are worth: scored pairs, analogies, one file beside another."""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from fairseq_alone.cli.markdown import markdown_table
from fairseq_alone.cli.vector_arguments import VECTORS_HELP
from fairseq_alone.errors import UserError

if TYPE_CHECKING:
    from fairseq_alone.corpus.analogies import Analogies
    from fairseq_alone.corpus.unit_vectors import UnitVectors
    from fairseq_alone.corpus.word_pairs import WordPairs

# Missing words that are named; --json has all.
_NAMED = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``similarity``."""
    # argparse would print VECTORS last, where --pairs would take it for a file of pairs.
    parser.usage = (
        "fairseq-alone similarity VECTORS [VECTORS ...] [--pairs FILE ...] [--analogies FILE ...] [--distances N] "
        "[--mean] [--lower-case] [--limit N] [--json] [--quiet]"
    )
    parser.add_argument("vectors", nargs="+", metavar="VECTORS", help=f"one row each: {VECTORS_HELP}")
    parser.add_argument(
        "--pairs", nargs="+", default=[], metavar="FILE", help="scored pairs, a line 'WORD WORD SCORE': Spearman's rho"
    )
    parser.add_argument(
        "--analogies", nargs="+", default=[], metavar="FILE", help="questions of four words: 3CosAdd and 3CosMul"
    )
    parser.add_argument(
        "--distances",
        type=int,
        metavar="N",
        help="Spearman's rho of the distances of all pairs of the first N common words, between each two of VECTORS",
    )
    parser.add_argument(
        "--mean", action="store_true", help="VECTORS are seeds of one model: their mean and standard deviation, too"
    )
    parser.add_argument("--lower-case", action="store_true", help="lower-case the words of all files")
    parser.add_argument(
        "--limit", type=int, default=0, metavar="N", help="analogies among the first N words of a file only; 0: all"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the tables")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> None:
    """Measure, and print."""
    from fairseq_alone.corpus.analogies import read_analogies
    from fairseq_alone.corpus.unit_vectors import UnitVectors
    from fairseq_alone.corpus.vector_reader import read_vectors
    from fairseq_alone.corpus.word_pairs import read_pairs

    _check(args)
    pairs = [read_pairs(path, args.lower_case) for path in args.pairs]
    analogies = [read_analogies(path, args.lower_case) for path in args.analogies]
    rows, kept = [], []
    for path in args.vectors:
        named = read_vectors(path, args.lower_case, args.quiet)
        units = UnitVectors.of(named)
        rows.append(
            {
                "path": path,
                "words": len(named),
                "dim": named.dim,
                "pairs": [pairs_row(units, one) for one in pairs],
                "analogies": [_analogies_row(units.first(args.limit), one, args.quiet) for one in analogies],
            }
        )
        if args.distances:
            kept.append(units)
    found: dict[str, Any] = {"vectors": rows}
    if args.mean:
        found["mean"] = mean_of(rows)
    if args.distances:
        found["distances"] = _distances(kept, args.vectors, args.distances)
    print(json.dumps(found, indent=2, ensure_ascii=False) if args.json else _text(found))


def pairs_table(rows: list[dict], mean: dict | None) -> str:
    """The table of :func:`pairs_row` of several embeddings, as ``--pairs`` prints it, and a line for missing words.

    Args:
        rows: ``path`` and ``pairs`` of each.
        mean: what ``--mean`` gives of them, or None.
    """
    names = [one["name"] for one in rows[0]["pairs"]]
    table = [["vectors", *(cell for name in names for cell in (name, "pairs"))]]
    for row in rows:
        cells = ((_rho(one["rho"]), f"{one['covered']} of {one['total']}") for one in row["pairs"])
        table.append([row["path"], *(text for cell in cells for text in cell)])
    if mean:
        cells = ((_spread(one), "") for one in mean["pairs"])
        table.append([f"mean of {mean['count']}, ± deviation", *(text for cell in cells for text in cell)])
    return "\n".join([markdown_table(table, 1), *_missing_lines(rows, "pairs")])


def _check(args: argparse.Namespace) -> None:
    if not (args.pairs or args.analogies or args.distances is not None):
        raise UserError("give --pairs, --analogies or --distances")
    if args.distances is not None and args.distances < 3:
        raise UserError(f"--distances must be at least 3, got {args.distances}")
    if args.distances is not None and len(args.vectors) < 2:
        raise UserError("--distances compares files: give two or more VECTORS")
    if args.limit < 0:
        raise UserError(f"--limit must be at least 0, got {args.limit}")
    if args.limit and not args.analogies:
        raise UserError("--limit is for --analogies")
    if args.mean and len(args.vectors) < 2:
        raise UserError("--mean needs two or more VECTORS")


def pairs_row(units: UnitVectors, pairs: WordPairs) -> dict[str, Any]:
    """What one embedding's JSON says of one file of pairs: ``path``, ``name``, ``rho``, ``covered``, and so on."""
    from fairseq_alone.corpus.word_pairs import similarity

    return {"path": pairs.path, "name": pairs.name, **asdict(similarity(units, pairs))}


def _analogies_row(units: UnitVectors, analogies: Analogies, quiet: bool) -> dict[str, Any]:
    from fairseq_alone.corpus.analogies import Score, answer, missing_words

    total = sum(map(len, analogies.sections.values()))
    with tqdm(total=total, desc="analogies", unit="question", disable=True if quiet else None, leave=False) as bar:
        sections = answer(units, analogies, bar.update)
    everything = Score(0, 0, 0, 0)
    for score in sections.values():
        everything = everything.plus(score)
    return {
        "path": analogies.path,
        **_accuracy(everything),
        "missing": missing_words(units, analogies),
        "sections": {name: _accuracy(score) for name, score in sections.items()},
    }


def _accuracy(score: Any) -> dict[str, Any]:
    return {
        "add": score.add / score.covered if score.covered else None,
        "mul": score.mul / score.covered if score.covered else None,
        "covered": score.covered,
        "total": score.total,
    }


def mean_of(rows: list[dict]) -> dict[str, Any]:
    """Mean and standard deviation of every number over seeds; None where it is not defined for one of them.

    Args:
        rows: two or more, with ``pairs`` and ``analogies``.
    """

    def over(kind: str, number: int, value: str) -> dict[str, float] | None:
        values = [row[kind][number][value] for row in rows]
        if None in values:
            return None
        return {"mean": statistics.mean(values), "deviation": statistics.stdev(values)}

    return {
        "count": len(rows),
        "pairs": [over("pairs", number, "rho") for number in range(len(rows[0]["pairs"]))],
        "analogies": [
            {value: over("analogies", number, value) for value in ("add", "mul")}
            for number in range(len(rows[0]["analogies"]))
        ],
    }


def _distances(vectors: list[UnitVectors], paths: list[str], count: int) -> dict[str, Any]:
    from fairseq_alone.corpus.distances import common_words, distance_correlation

    words = common_words(vectors, count)
    if len(words) < 3:
        raise UserError(f"--distances: {' and '.join(paths)} have {len(words)} words in common; it takes 3")
    rhos = [
        {"first": paths[one], "second": paths[other], "rho": distance_correlation(vectors[one], vectors[other], words)}
        for one in range(len(paths))
        for other in range(one + 1, len(paths))
    ]
    return {"words": len(words), "rhos": rhos}


def _text(found: dict) -> str:
    rows, mean = found["vectors"], found.get("mean")
    parts = []
    if rows[0]["pairs"]:
        parts.append(pairs_table(rows, mean))
    if rows[0]["analogies"]:
        parts.append(_analogies_table(rows, mean))
    if "distances" in found:
        table = [["distances of", "and of", "rho"]]
        table += [[one["first"], one["second"], _rho(one["rho"])] for one in found["distances"]["rhos"]]
        words = f"all pairs of the first {found['distances']['words']:,} common words, cosine distance"
        parts.append(markdown_table(table, 2) + f"\n{words}")
    return "\n\n".join(parts)


def _analogies_table(rows: list[dict], mean: dict | None) -> str:
    table = [["vectors", "questions", "3CosAdd", "3CosMul", "asked"]]
    for row in rows:
        for one in row["analogies"]:
            asked = f"{one['covered']:,} of {one['total']:,}"
            table.append([row["path"], one["path"], _share(one["add"]), _share(one["mul"]), asked])
    if mean:
        for one, own in zip(rows[0]["analogies"], mean["analogies"], strict=True):
            shares = [_spread(own[value], 100, " %") for value in ("add", "mul")]
            table.append([f"mean of {mean['count']}, ± deviation", one["path"], *shares, ""])
    return "\n".join([markdown_table(table, 2), *_missing_lines(rows, "analogies")])


def _missing_lines(rows: list[dict], kind: str) -> list[str]:
    """A sentence for the words of each file that have no vector; one for all embeddings that lack the same."""
    lacking: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for row in rows:
        for one in row[kind]:
            if one["missing"]:
                lacking.setdefault((one["path"], tuple(one["missing"])), []).append(row["path"])
    lines = []
    for (path, missing), files in lacking.items():
        some = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
        count = "1 word has" if len(missing) == 1 else f"{len(missing):,} words have"
        lines.append(f"{', '.join(files)}: {count} no vector, of {path}: {some}")
    return ["", *lines] if lines else []


def _rho(rho: float | None) -> str:
    return "-" if rho is None else f"{rho:.3f}"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _spread(value: dict[str, float] | None, factor: float = 1, unit: str = "") -> str:
    digits = 3 if factor == 1 else 1
    if value is None:
        return "-"
    return f"{factor * value['mean']:.{digits}f} ± {factor * value['deviation']:.{digits}f}{unit}"
