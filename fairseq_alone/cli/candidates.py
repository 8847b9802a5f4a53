"""``fairseq-alone candidates``: for each source word the target words that its translation is likely to have."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from tqdm import tqdm

from fairseq_alone.cli.fairseq_log import log_hidden
from fairseq_alone.errors import UserError
from fairseq_alone.files import require_writable

_FLAGS = ("per_word", "frequent", "iterations")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``candidates``."""
    parser.add_argument("data", metavar="DATA", help="a folder of fairseq-preprocess, or WORK of a recipe")
    parser.add_argument("--output", required=True, metavar="FILE", help="what --candidates of a model reads")
    parser.add_argument(
        "--per-word",
        type=int,
        default=20,
        metavar="K",
        help="targets of a source word besides the frequent ones; default: 20",
    )
    parser.add_argument(
        "--frequent", type=int, default=2000, metavar="K", help="the most frequent targets, of every source; 2000"
    )
    parser.add_argument("--iterations", type=int, default=5, metavar="N", help="of the alignment model; default: 5")
    parser.add_argument(
        "--lines", type=int, default=100_000, metavar="N", help="lines to align, evenly spaced; 0: all; 100000"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> None:
    """Align, write, and print what came out."""
    for name in _FLAGS:
        if getattr(args, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(args, name)}")
    if args.lines < 0:
        raise UserError(f"--lines must be at least 0, got {args.lines}")
    require_writable("--output", args.output)

    import numpy as np

    from fairseq_alone.corpus.binarized import read_corpus
    from fairseq_alone.corpus.candidates import Candidates
    from fairseq_alone.corpus.learning import sampled_lines
    from fairseq_alone.corpus.translation_table import translation_table

    folder = Path(args.data)
    began = time.perf_counter()
    with log_hidden():
        corpus = read_corpus(str(folder / "data-bin" if (folder / "prepare.settings").is_file() else folder))
    if len(corpus.texts) != 2:
        raise UserError(f"{args.data}: is the data of a language model; candidates are for translation")
    lines = sampled_lines(corpus.num_lines, args.lines)
    bar = tqdm(total=args.iterations, desc="aligning", disable=True if args.quiet else None, leave=False)
    with bar:
        table = translation_table(corpus, lines, args.iterations, bar.update)
    source, target = corpus.texts
    # A dictionary of both languages is sorted by the counts of both.
    counts = np.bincount(
        np.concatenate([np.asarray(target.sentences[line]) for line in lines.tolist()]), minlength=target.vocabulary
    )
    counts[: target.special] = 0
    order = np.argsort(-counts, kind="stable")[: args.frequent]
    frequent = order[counts[order] > 0]
    likely = {
        source.words[word]: [target.words[other] for other in others]
        for word, others in table.most_likely(args.per_word, frequent).items()
    }
    Candidates([target.words[word] for word in frequent], likely).write(args.output)
    facts = {
        "file": args.output,
        "lines": len(lines),
        "source_words": len(likely),
        "pairs": len(table.probabilities),
        "seconds": round(time.perf_counter() - began, 1),
    }
    names = {"file": "written", "lines": "lines read", "source_words": "source words", "pairs": "pairs of words"}
    if args.json:
        print(json.dumps(facts))
    else:
        print("\n".join(f"{names.get(name, name):<15}{value}" for name, value in facts.items()))
