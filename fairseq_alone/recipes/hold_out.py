"""Two parallel files become training, validation and test data."""

from pathlib import Path

from fairseq_alone.cli.score import spread
from fairseq_alone.errors import UserError
from fairseq_alone.recipes.steps import SPLITS, say
from fairseq_alone.text_files import clean_lines


def hold_out(files: list[Path], langs: list[str], count: int, folder: Path) -> None:
    """Take ``count`` pairs for validation and as many for the test out of the text, evenly spread; write all three.

    No held-out pair is in the training data: other pairs with the same source or target sentence are left out of it.
    Pairs with an empty side are left out of everything.

    Raises:
        UserError: the files are not good parallel text, or too short.
    """
    texts = [list(clean_lines(str(file), quiet=False)) for file in files]
    if len(texts[0]) != len(texts[1]):
        raise UserError(
            f"{files[0]} has {len(texts[0])} lines, but {files[1]} has {len(texts[1])}: they must be parallel"
        )
    pairs = [pair for pair in zip(*texts, strict=True) if all(pair)]
    chosen = spread(len(pairs), 2 * count)
    if len(pairs) < 10 * count:
        raise UserError(
            f"{files[0]} and {files[1]} have {len(pairs)} pairs, too few to hold out 2 x {count}; "
            "give --hold-out a smaller number, or a folder with train, valid and test"
        )
    sets = {"valid": [pairs[i] for i in chosen[::2]], "test": [pairs[i] for i in chosen[1::2]]}
    seen = [{pair[side] for held in sets.values() for pair in held} for side in (0, 1)]
    sets["train"] = [pair for pair in pairs if pair[0] not in seen[0] and pair[1] not in seen[1]]
    for split in SPLITS:
        for side, lang in enumerate(langs):
            with open(folder / f"{split}.{lang}", "w", encoding="utf-8", newline="\n") as file:
                file.writelines(pair[side] + "\n" for pair in sets[split])
    left_out = len(pairs) - 2 * count - len(sets["train"])
    say(f"from {langs[0]} to {langs[1]}, the endings of the files in their order")
    say(f"held out {count} pairs each for valid and test; {left_out} more left out of train, which repeat one of them")
