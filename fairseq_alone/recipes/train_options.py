"""What a user can choose about a training. None means: as the preset or the recipe says."""

from argparse import Namespace
from dataclasses import dataclass, fields

from fairseq_alone.errors import UserError

_LANGUAGE_MODELS = ("carry_state", "output_layer", "loss")
_TRANSLATION = ("effective_tokens", "max_tokens", "max_update", "length", "absolute", "fp16")

# What each recipe does not know.
_UNKNOWN = {
    "translation": ("model", "temperature", "length", "absolute", *_LANGUAGE_MODELS),
    "headlines": ("model", "temperature", *_LANGUAGE_MODELS),
    "language_model": ("model", *_TRANSLATION),
    "word_vectors": ("temperature", "bits", *_TRANSLATION, *_LANGUAGE_MODELS),
}


@dataclass(frozen=True)
class TrainOptions:
    """The flags of ``fairseq-alone train``, whose help says what they mean; numbers may be text.

    Args:
        flags: of fairseq-train, after all others.
    """

    preset: str | None = None
    model: str | None = None
    embedding: str | None = None
    start: str | None = None
    tie: str | None = None
    augmented_loss: str = "0"
    temperature: str | None = None
    inter_dim: str | None = None
    share: str | None = None
    factorized_dim: str | None = None
    bits: str | None = None
    length: str | None = None
    absolute: bool | None = None
    carry_state: bool | None = None
    output_layer: str | None = None
    loss: str | None = None
    max_epoch: str | None = None
    max_update: str | None = None
    seed: str = "1"
    effective_tokens: str | None = None
    max_tokens: str | None = None
    workers: str | None = None
    cpu: bool = False
    fp16: bool | None = None
    flags: tuple[str, ...] = ()

    def require_known(self, recipe: str) -> None:
        """Raise UserError for a choice that a recipe does not have."""
        for name in _UNKNOWN[recipe]:
            if getattr(self, name) is not None:
                raise UserError(f"--{name.replace('_', '-')} does not belong to the recipe {recipe}")

    @classmethod
    def of_arguments(cls, args: Namespace) -> "TrainOptions":
        """From the arguments of the command, which have the same names."""
        return cls(**{field.name: getattr(args, field.name) for field in fields(cls)})
