"""The forms in which headlines come: tab-separated, two parallel files, or as the NAMAS scripts write them."""

from dataclasses import dataclass
from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.recipes.checksum import cksum

#: By the file that tells a form: its name, and the suffixes of the two sides.
_FORMS = {
    "train.tsv": ("tsv", ("tsv",)),
    "train.source": ("parallel", ("source", "title")),
    # https://github.com/facebookarchive/NAMAS, construct_data.sh
    "train.article.txt": ("namas", ("article.txt", "title.txt")),
}
# NAMAS filters train and valid; its filtered valid has another name.
_NAMAS_VALID = ("article.filter.txt", "title.filter.txt")


@dataclass(frozen=True)
class HeadlineCorpus:
    """Where the pairs are.

    Args:
        folder: absolute.
        form: tsv, parallel or namas.
        splits: that come from the folder; the test set may be DUC's.
        duc: the folder of DUC 2004 task 1, or None.
    """

    folder: Path
    form: str
    splits: tuple[str, ...]
    duc: Path | None

    def suffixes(self, split: str) -> tuple[str, ...]:
        """Of the files of a split: two, or one with two columns."""
        if self.form == "namas" and split == "valid":
            return _NAMAS_VALID
        return next(suffixes for form, suffixes in _FORMS.values() if form == self.form)

    def settings(self) -> list[str]:
        """Checksum and size, so that changed data is noticed and a moved folder does not matter."""
        names = [f"{split}.{suffix}" for split in self.splits for suffix in self.suffixes(split)]
        settings = [f"{name}={cksum(self.folder / name)}" for name in names]
        if self.duc:
            # The references lie beside input.txt or in a subfolder.
            found = [self.duc / "input.txt", *sorted(self.duc.glob("task1_ref?.txt"))]
            found += sorted(self.duc.glob("references/task1_ref?.txt"))
            settings.append(f"duc={cksum([path for path in found if path.is_file()])}")
        return settings


def find_headline_corpus(folder: Path, duc: Path | None) -> HeadlineCorpus:
    """Look what is in a folder.

    Raises:
        UserError: no such folder, no form or more than one, or a file is missing.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder")
    forms = [form for name, (form, _) in _FORMS.items() if (folder / name).is_file()]
    if not forms:
        raise UserError(
            f"{folder} has none of train.tsv, train.source (with train.title), train.article.txt (with train.title.txt)"
        )
    if len(forms) > 1:
        raise UserError(f"{folder} has a training set in more than one form ({' '.join(forms)}); keep one")
    corpus = HeadlineCorpus(folder, forms[0], ("train", "valid") if duc else ("train", "valid", "test"), duc)
    for split in corpus.splits:
        for suffix in corpus.suffixes(split):
            if not (folder / f"{split}.{suffix}").is_file():
                raise UserError(f"{folder}/{split}.{suffix}: there is no such file")
    return corpus
