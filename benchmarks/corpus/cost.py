"""What corpus vectors cost: seconds of one core and peak memory for made-up sentence pairs, and for more of them.

    python benchmarks/corpus/cost.py --lines 20000,50000,100000

Each size runs in a process of its own. The words are drawn one by one from a Zipf distribution, so they have more
different neighbours than words of a language: an upper bound.
"""

import argparse
import resource
import subprocess
import sys
import time

import numpy as np

from fairseq_alone.corpus.cooccurrence import count
from fairseq_alone.corpus.text import Corpus, Text
from fairseq_alone.corpus.vectors import VectorSettings, vectors

WORDS_OF_A_LINE = 25
LINES_OF_WMT16 = 4_500_000


class MadeUp:
    """Sentences of one length, from a seed."""

    def __init__(self, lines: int, vocabulary: int, seed: int):
        generator = np.random.Generator(np.random.Philox(key=seed))
        chances = np.cumsum(1.0 / np.arange(1, vocabulary + 1))
        drawn = generator.random((lines, WORDS_OF_A_LINE), dtype=np.float32) * chances[-1]
        self._words = np.searchsorted(chances, drawn).clip(max=vocabulary - 1).astype(np.uint16)

    def __len__(self) -> int:
        return len(self._words)

    def __getitem__(self, number: int) -> np.ndarray:
        return self._words[number]


def measure(lines: int, vocabulary: int, dim: int) -> None:
    """Print lines, seconds of counting and of the rest, and the peak memory in MB."""
    texts = (Text(MadeUp(lines, vocabulary, seed), vocabulary, [], 0) for seed in (1, 2))
    corpus = Corpus(tuple(texts), joined=True)
    settings = VectorSettings(dim)
    began = time.process_time()
    counts = count(corpus, settings.window)
    counted = time.process_time()
    vectors(counts, settings)
    ended = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(lines, counted - began, ended - counted, peak)


def main() -> None:
    """Run the sizes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", default="20000,50000,100000", help="sizes, with commas between")
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        measure(args.one, args.vocabulary, args.dim)
        return
    print("| pairs | counting, core s | PMI and vectors, core s | peak memory, MB |\n|---|---|---|---|")
    rows = []
    for lines in args.lines.split(","):
        sizes = ["--one", lines, "--vocabulary", str(args.vocabulary), "--dim", str(args.dim)]
        done = subprocess.run([sys.executable, __file__, *sizes], check=True, capture_output=True, text=True)
        rows.append([float(value) for value in done.stdout.split()])
        print("| {:,.0f} | {:.0f} | {:.0f} | {:,.0f} |".format(*rows[-1]), flush=True)
    if len(rows) > 1:
        (few, *first), (many, *last) = rows[-2:]
        steps = (LINES_OF_WMT16 - many) / (many - few)
        further = [more + (more - less) * steps for less, more in zip(first, last, strict=True)]
        print("| {:,.0f}, extrapolated | {:.0f} | {:.0f} | {:,.0f} |".format(LINES_OF_WMT16, *further))


if __name__ == "__main__":
    main()
