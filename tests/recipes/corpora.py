"""Tiny corpora in every form that the recipes take. The record of checksums was made from these: change none."""

from pathlib import Path

SPLITS = ("train", "valid", "test")


def translation_corpus(folder: Path, repeats: int = 30) -> Path:
    """A few sentences, repeated with numbers so that there is something to merge."""
    folder.mkdir()
    english = ["The man's dog (a small one) sleeps.", "The woman reads the old book.", '"Yes", she said.']
    german = ["Der Hund des Mannes (ein kleiner) schläft.", "Die Frau liest das alte Buch.", "„Ja“, sagte sie."]
    for split in SPLITS:
        for suffix, sentences in (("en", english), ("de", german)):
            lines = [f"{number} {sentence}" for number in range(repeats) for sentence in sentences]
            (folder / f"{split}.{suffix}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def awkward_corpus(folder: Path) -> Path:
    """The same with an empty line, separators of Unicode, a long pair, and a last line without its ending."""
    translation_corpus(folder)
    added = {
        "en": "One\u2028two three.\n\nLong, long, long, long, long, long, long.\n",
        "de": "Eins\x85zwei drei.\nx\nKurz.\n",
    }
    for suffix, text in added.items():
        with open(folder / f"train.{suffix}", "a", encoding="utf-8", newline="") as file:
            file.write(text)
    with open(folder / "test.en", "ab") as file:
        file.write(b"\nA last line without its ending.")
    with open(folder / "test.de", "ab") as file:
        file.write(b"Leer.\nEine letzte Zeile ohne Zeilenende.\n")
    return folder


def headline_pairs(repeats: int) -> list[tuple[str, str]]:
    """Sentence and headline."""
    sentences = (
        ("Crude oil prices rose 3 pct in London, traders said.", "OIL PRICES RISE"),
        ("The dollar fell sharply against the yen on Monday.", "DOLLAR FALLS"),
    )
    return [(f"{source} ({number})", f"{title} {number}") for number in range(repeats) for source, title in sentences]


def tsv_corpus(folder: Path, repeats: int = 20) -> Path:
    """Headlines, tab-separated."""
    folder.mkdir()
    for split in SPLITS:
        lines = [f"{source}\t{title}\n" for source, title in headline_pairs(repeats)]
        (folder / f"{split}.tsv").write_text("".join(lines), encoding="utf-8")
    return folder


def awkward_tsv_corpus(folder: Path) -> Path:
    """The same with the symbol of the space and an empty side."""
    tsv_corpus(folder)
    with open(folder / "train.tsv", "a", encoding="utf-8") as file:
        file.write("A ▁ sign.\tSIGN\u00a0▁\n\tNO SOURCE\n")
    return folder


def parallel_headlines(folder: Path) -> Path:
    """Headlines in two parallel files."""
    folder.mkdir()
    for split in SPLITS:
        for suffix, side in (("source", 0), ("title", 1)):
            (folder / f"{split}.{suffix}").write_text("".join(pair[side] + "\n" for pair in headline_pairs(20)))
    return folder


def namas_corpus(folder: Path) -> Path:
    """Headlines as the NAMAS scripts write them; no test set."""
    folder.mkdir()
    names = {"train": "article.txt title.txt", "valid": "article.filter.txt title.filter.txt"}
    for split, suffixes in names.items():
        for suffix, side in zip(suffixes.split(), (0, 1), strict=True):
            lines = [pair[side].lower().replace("3", "#") for pair in headline_pairs(20)]
            lines += ["a <unk> rose .", "gold <unk>"][side : side + 1] + ["the <unk> fell ."] * (1 - side)
            lines += ["tin falls"] * side
            (folder / f"{split}.{suffix}").write_text("".join(line + "\n" for line in lines))
    return folder


def duc_folder(folder: Path) -> Path:
    """A made-up DUC 2004: 500 sentences, four references each."""
    (folder / "references").mkdir(parents=True)
    (folder / "input.txt").write_text("".join(f"Sentence {number} , of 1998 .\n" for number in range(500)))
    for reference in range(4):
        text = "".join(f"Headline {number} by {reference}\n" for number in range(500))
        (folder / "references" / f"task1_ref{reference}.txt").write_text(text)
    return folder
