"""The usual cleaning of WMT's training data, by the length of a pair in subwords."""

import contextlib
from pathlib import Path


def filter_by_length(source: Path, target: Path, longest: int, ratio: float) -> str:
    """Drop pairs in place: kept are 1 to ``longest`` subwords a side, neither more than ``ratio`` times the other.

    Returns:
        how many were dropped, as a sentence.
    """
    parts = [path.with_name(f"{path.name}.kept") for path in (source, target)]
    total = dropped = 0
    with contextlib.ExitStack() as stack:
        inputs = [stack.enter_context(open(path, "rb")) for path in (source, target)]
        outputs = [stack.enter_context(open(part, "wb")) for part in parts]
        for pair in zip(*inputs, strict=True):
            total += 1
            shorter, longer = sorted(len(line.split()) for line in pair)
            if shorter >= 1 and longer <= longest and longer <= ratio * shorter:
                for output, line in zip(outputs, pair, strict=True):
                    output.write(line)
            else:
                dropped += 1
    for part, path in zip(parts, (source, target), strict=True):
        part.replace(path)
    return f"train: {dropped} of {total} clean pairs dropped by length (1 to {longest} subwords, ratio {ratio:g})"
