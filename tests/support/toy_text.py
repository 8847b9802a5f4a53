"""Small texts for language models."""

import random
from pathlib import Path

from fairseq_commands import fairseq


def text_corpus(folder: Path) -> Path:
    """Sentences in which each word follows from the one before, more or less."""
    folder.mkdir()
    generator = random.Random(2)
    for split, size in (("train", 150), ("valid", 20), ("test", 17)):
        lines = []
        for _ in range(size):
            word = generator.randrange(30)
            words = [word := (word * 7 + generator.randrange(3)) % 30 for _ in range(generator.randint(3, 9))]
            lines.append(" ".join(f"w{word}" for word in words))
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return folder


def binarize(text: Path, folder: Path, suffix: str = "txt") -> Path:
    """Give ``train``, ``valid`` and, where there is one, ``test`` to fairseq-preprocess; the new folder."""
    files = {split: text / f"{split}.{suffix}" for split in ("train", "valid", "test")}
    prefixes = [flag for split, file in files.items() if file.exists() for flag in (f"--{split}pref", file)]
    fairseq("preprocess", "--only-source", *prefixes, "--destdir", folder, "--workers", 1)
    return folder
