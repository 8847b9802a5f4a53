"""Flags of distillation (Hinton, Vinyals and Dean, 2015)."""

from dataclasses import dataclass, field
from typing import Optional


@dataclass
class DistillationFlags:
    """The teacher, how much it counts, and how smooth its distribution is."""

    distillation_teacher: Optional[str] = field(  # noqa: UP045 (fairseq reads the type)
        default=None,
        metadata={
            "help": "checkpoint of the teacher, a model of the same task and dictionaries; read in training only"
        },
    )
    distillation_weight: float = field(
        default=0.5,
        metadata={"help": "w, from 0 to 1: the loss is (1 - w) * cross-entropy + w * T^2 * KL(teacher || model)"},
    )
    distillation_temperature: float = field(
        default=1.0, metadata={"help": "T of both distributions, positive; the higher, the smoother"}
    )
