"""``fairseq-alone corpus-vectors``: vectors of words, learned from training data before any model."""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from fairseq_alone.cli.fairseq_log import log_hidden
from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.files import require_writable

if TYPE_CHECKING:
    from fairseq_alone.corpus.text import Text

_NEIGHBOURS = 5
_FLAGS = {"samples": "--lines"}
_TOO_WIDE = "--dim {dim} is more than the {words} words give; the last values of each vector are zeros or rounding"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``corpus-vectors``."""
    # argparse would print DATA last, where --nearest would take it for a word.
    parser.usage = (
        "fairseq-alone corpus-vectors DATA --dim D --output FILE [--window N] [--no-across] [--power P] "
        "[--singular-power P] [--lines N] [--seed SEED] [--nearest WORD [WORD ...]] [--json] [--quiet]"
    )
    parser.add_argument("data", metavar="DATA", help="a folder of fairseq-preprocess, or WORK of a recipe")
    parser.add_argument("--dim", type=int, required=True, metavar="D", help="values of a vector, the model's D_e")
    parser.add_argument(
        "--output",
        required=True,
        metavar="FILE",
        help="FILE.txt or FILE.vec, the text of word2vec, or FILE.safetensors, which loses nothing and may have two "
        "dictionaries; fairseq-train --embedding-init FILE reads each",
    )
    parser.add_argument("--window", type=int, default=4, metavar="N", help="neighbours on either side; default: 4")
    parser.add_argument("--no-across", action="store_true", help="leave out the words of the other side of a pair")
    parser.add_argument("--power", type=float, default=0.75, metavar="P", help="of contexts' counts; default: 0.75")
    parser.add_argument("--singular-power", type=float, default=0.5, metavar="P", help="of singular values; 0.5")
    parser.add_argument(
        "--lines", type=int, default=200_000, metavar="N", help="lines to read, evenly spaced; 0: all; 200000"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="SEED", help="of the decomposition; default: 1")
    parser.add_argument("--nearest", nargs="+", default=[], metavar="WORD", help="show the words nearest to these")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, and nothing of fairseq's log")


def run(args: argparse.Namespace) -> None:
    """Learn, write, and print what it cost."""
    import numpy as np

    from fairseq_alone.corpus.binarized import read_corpus
    from fairseq_alone.corpus.learning import learn, sampled_lines
    from fairseq_alone.corpus.own_vector_file import check_form, check_sides, write_word_vectors
    from fairseq_alone.corpus.unit_vectors import UnitVectors
    from fairseq_alone.corpus.vector_file import NamedVectors
    from fairseq_alone.corpus.vectors import VectorSettings

    names = ("dim", "window", "power", "singular_power", "seed")
    try:
        settings = VectorSettings(
            **{name: getattr(args, name) for name in names}, across=not args.no_across, samples=args.lines
        )
    except SettingError as error:
        flag = _FLAGS.get(error.setting, f"--{error.setting.replace('_', '-')}")
        raise UserError(f"{flag} {error.problem}") from error
    check_form("--output", args.output)
    require_writable("--output", args.output)
    folder = Path(args.data)
    with log_hidden() if args.quiet else contextlib.nullcontext():
        corpus = read_corpus(str(folder / "data-bin" if (folder / "prepare.settings").is_file() else folder))
    texts = corpus.texts[:1] if corpus.joined else corpus.texts
    check_sides("--output", args.output, len(texts))
    _check_words(args.nearest, texts)
    lines = len(sampled_lines(corpus.num_lines, settings.samples))
    began = time.perf_counter()
    with tqdm(total=lines, desc="counting", unit="line", disable=True if args.quiet else None, leave=False) as bar:
        sides = learn(corpus, settings, bar.update)
    write_word_vectors(args.output, texts, sides)
    facts = {
        "file": args.output,
        "lines": lines,
        "words": sum(int(side.vectors.any(1).sum()) for side in sides),
        "dim": settings.dim,
        "seconds": round(time.perf_counter() - began, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    if facts["words"] < settings.dim:
        print(f"note: {_TOO_WIDE.format(**facts)}", file=sys.stderr)
    # Of a word of both sides, the neighbours are those of its first side.
    named = NamedVectors([word for text in texts for word in text.words], np.vstack([side.vectors for side in sides]))
    units = UnitVectors.of(named)
    near = {word: [other for other, _ in units.nearest(word, _NEIGHBOURS)] for word in args.nearest}
    print(json.dumps({**facts, "nearest": near}, ensure_ascii=False) if args.json else _table(facts, near))


def _check_words(words: list[str], texts: tuple[Text, ...]) -> None:
    known = {word for text in texts for word in text.words}
    for word in words:
        if word not in known:
            raise UserError(f"--nearest {word}: the dictionary has no such word")


def _table(facts: dict, near: dict[str, list[str]]) -> str:
    rows = [
        ("lines read", f"{facts['lines']:,}"),
        ("words with a vector", f"{facts['words']:,}"),
        ("values of a vector", f"{facts['dim']:,}"),
        ("seconds", f"{facts['seconds']:,}"),
        ("peak memory, MB", f"{facts['peak_memory_mb']:,}"),
        ("written", facts["file"]),
        *((f"nearest to {word}", ", ".join(others) or "(it has no vector)") for word, others in near.items()),
    ]
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {text}" for label, text in rows)
