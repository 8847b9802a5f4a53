"""What a user chooses of an evaluation."""

from argparse import Namespace
from dataclasses import dataclass, fields

from fairseq_alone.errors import UserError

_DECODING = ("average", "beam", "lenpen", "sentences")

# What each recipe does not know.
_UNKNOWN = {
    "translation": ("context", "lengths", "bytes", "json", "pairs"),
    "headlines": ("average", "beam", "lenpen", "sentences", "context", "pairs"),
    "language_model": (*_DECODING, "lengths", "bytes", "json", "pairs"),
    "word_vectors": (*_DECODING, "lengths", "bytes", "json", "context"),
}


@dataclass(frozen=True)
class EvaluateOptions:
    """The flags of ``fairseq-alone evaluate``, whose help says what they mean; numbers may be text.

    Args:
        flags: of fairseq-generate, after all others.
    """

    average: str | None = None
    beam: str | None = None
    lenpen: str | None = None
    sentences: str | None = None
    lengths: list[str] | None = None
    bytes: str | None = None
    json: bool | None = None
    context: str | None = None
    pairs: list[str] | None = None
    cpu: bool = False
    flags: tuple[str, ...] = ()

    def require_known(self, recipe: str) -> None:
        """Raise UserError for a choice that a recipe does not have."""
        for name in _UNKNOWN[recipe]:
            if getattr(self, name) is not None:
                raise UserError(f"--{name} does not belong to the recipe {recipe}")
        if self.flags and recipe != "translation":
            raise UserError(f"evaluate takes no flags of fairseq in the recipe {recipe}, got {' '.join(self.flags)}")

    @classmethod
    def of_arguments(cls, args: Namespace) -> "EvaluateOptions":
        """From the arguments of the command, which have the same names."""
        return cls(**{field.name: getattr(args, field.name) for field in fields(cls)})
