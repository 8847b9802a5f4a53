"""Flags of the augmented loss (Inan et al., ICLR 2017)."""

from dataclasses import dataclass, field
from typing import Optional


@dataclass
class AugmentedLossFlags:
    """Weight, temperature and target space of the augmented loss."""

    augmented_loss_weight: float = field(
        default=0.5,
        metadata={"help": "gamma: the loss is cross-entropy + gamma * tau * augmented loss; 0.5 to 0.8 in the paper"},
    )
    augmented_loss_temperature: float = field(
        default=1.0, metadata={"help": "tau of both distributions, positive; the higher, the smoother"}
    )
    augmented_loss_temperature_start: Optional[float] = field(  # noqa: UP045 (fairseq reads the type)
        default=None,
        metadata={"help": "raise tau in a straight line from this value over the first updates"},
    )
    augmented_loss_temperature_updates: int = field(
        default=0, metadata={"help": "the update from which tau is --augmented-loss-temperature"}
    )
    augmented_loss_target_gradient: bool = field(
        default=False, metadata={"help": "let the gradient flow into the target distribution, too"}
    )
    augmented_loss_target_refresh: int = field(
        default=0,
        metadata={
            "help": "take the target distributions from a copy of the embedding, renewed every N updates; 0: off"
        },
    )
    augmented_loss_target_decay: float = field(
        default=0.0,
        metadata={
            "help": "take them from a moving average of the embedding with this decay, for example 0.999; 0: off"
        },
    )
    augmented_loss_target_vectors: Optional[str] = field(  # noqa: UP045 (fairseq reads the type)
        default=None, metadata={"help": "take them from pre-trained word vectors: a file in word2vec's text format"}
    )
    augmented_loss_target_coverage: float = field(
        default=0.8,
        metadata={"help": "the least share of the running words that must have a pre-trained vector"},
    )
