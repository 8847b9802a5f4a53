"""What a user can choose about prepared data. None means: as the preset or the recipe says."""

from argparse import Namespace
from dataclasses import dataclass, fields
from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.recipes.presets import OWN_PRESETS
from fairseq_alone.recipes.values import positive
from fairseq_alone.recipes.workers import usable_cores

# What each recipe does not know.
_NO_PAIRS = (
    "preset",
    "units",
    "keep_case",
    "duc",
    "subwords",
    "source_lang",
    "target_lang",
    "merges",
    "hold_out",
    "mirror",
)
_UNKNOWN = {
    "translation": ("units", "keep_case", "duc", "min_count"),
    "headlines": ("subwords", "source_lang", "target_lang", "hold_out", "mirror", "min_count"),
    "language_model": _NO_PAIRS,
    "word_vectors": _NO_PAIRS,
}


@dataclass(frozen=True)
class PrepareOptions:
    """The arguments of ``fairseq-alone prepare``, whose help says what they mean; numbers may be text."""

    corpus: tuple[str, ...] = ()
    preset: str | None = None
    presets: str | None = None
    merges: str | None = None
    workers: str | None = None
    subwords: str | None = None
    source_lang: str | None = None
    target_lang: str | None = None
    hold_out: str | None = None
    mirror: str | None = None
    units: str | None = None
    keep_case: bool | None = None
    duc: str | None = None
    min_count: str | None = None

    def require_known(self, recipe: str) -> None:
        """Raise UserError for a choice that a recipe does not have."""
        for name in _UNKNOWN[recipe]:
            if getattr(self, name) is not None:
                raise UserError(f"--{name.replace('_', '-')} does not belong to the recipe {recipe}")

    @property
    def processes(self) -> int:
        """How many work side by side. Raises UserError when it is no number."""
        return positive("--workers", self.workers or usable_cores())

    def own_presets(self, work: Path) -> Path | None:
        """The user's file of presets: the one that is given, or that the folder was prepared with."""
        if self.presets:
            return Path(self.presets)
        return work / OWN_PRESETS if (work / OWN_PRESETS).is_file() else None

    @classmethod
    def of_arguments(cls, args: Namespace) -> "PrepareOptions":
        """From the arguments of the command, which have the same names."""
        values = {field.name: getattr(args, field.name) for field in fields(cls)}
        return cls(**{**values, "corpus": tuple(args.corpus)})
