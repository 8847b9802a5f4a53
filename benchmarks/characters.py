"""What a matrix computed from characters costs: its values and gradients, in seconds of one core and peak memory.

    python benchmarks/characters.py DATA/dict.txt --dim 128
    python benchmarks/characters.py words.txt --dim 200 --filters 1x32,2x64,3x128,4x128 --correction-dim 32

A line of the file begins with a word. The time is that of the process on its core, so others may run beside it.
"""

import argparse
import resource
import time

import torch

from fairseq_alone.models.char_cnn_family import CharCnnFlags, filters_of
from fairseq_alone.modules import CharCnnEmbedding
from fairseq_alone.modules.spelling import spelling_of
from fairseq_alone.text_files import read_lines

REPEATS = 3


def main() -> None:
    """Build the embedding of the file's words and four special symbols, and print sizes and costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", help="a dictionary of fairseq, or a word a line")
    parser.add_argument("--dim", type=int, default=128, help="D_e")
    parser.add_argument("--filters", default=CharCnnFlags.char_cnn_filters, help="see --char-cnn-filters")
    parser.add_argument("--correction-dim", type=int, default=0, help="see --char-cnn-correction-dim")
    args = parser.parse_args()
    torch.set_num_threads(1)
    words = [line.rstrip().split(" ")[0] for line in read_lines(args.words)]
    began = time.process_time()
    spelling = spelling_of([None] * 4 + words, CharCnnFlags.char_cnn_max_length)
    print(f"{spelling.num_entries:,} words, {len(spelling.characters):,} characters and marks of")
    print(f"{spelling.num_characters:,} kinds, spelled in {time.process_time() - began:.2f} s")
    embedding = CharCnnEmbedding(
        spelling,
        args.dim,
        1,
        character_dim=CharCnnFlags.char_cnn_dim,
        filters=filters_of(args.filters),
        correction_dim=args.correction_dim,
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    costs = []
    for _ in range(REPEATS):
        began = time.process_time()
        matrix = embedding.matrix()
        built = time.process_time()
        matrix.backward(torch.ones_like(matrix))
        costs.append((built - began, time.process_time() - built))
        del matrix
    values = sum(parameter.numel() for parameter in embedding.parameters())
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    matrix_size = spelling.num_entries * args.dim * 4 / 2**20
    print(f"{values:,} trained values; a table has {spelling.num_entries * args.dim:,}")
    print(f"matrix {min(first for first, _ in costs):.2f} s, gradient {min(last for _, last in costs):.2f} s")
    print(f"peak memory {peak:.0f} MiB beyond the embedding; the matrix alone is {matrix_size:.0f} MiB")


if __name__ == "__main__":
    main()
