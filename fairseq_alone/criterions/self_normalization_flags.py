"""Flags of self-normalisation (Devlin et al., ACL 2014; Andreas and Klein, NAACL 2015)."""

from dataclasses import dataclass, field


@dataclass
class SelfNormalizationFlags:
    """How much log Z counts, and at how many positions."""

    self_normalization_weight: float = field(
        default=0.1,
        metadata={"help": "alpha, at least 0: the loss is cross-entropy + alpha * log^2 Z; 0.1 in the paper"},
    )
    self_normalization_share: float = field(
        default=1.0,
        metadata={
            "help": "gamma, more than 0 and at most 1: the share of the positions of a batch that is normalised in "
            "training; the others need the score of their target only"
        },
    )
    self_normalization_seed: int = field(
        default=1, metadata={"help": "at least 0: which positions, with --self-normalization-share"}
    )
