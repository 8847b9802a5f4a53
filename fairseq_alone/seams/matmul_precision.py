"""``--matmul-precision``: updates with rounded factors, everything else with exact ones."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from fairseq.trainer import Trainer


def install() -> None:
    """Make every update with the precision that the model's flags ask for."""
    # torch's setting is one of the whole process: around the update only, validation is in float32.
    train_step = Trainer.train_step

    @functools.wraps(train_step)
    def train_step_with_precision(self: Trainer, *args: Any, **kwargs: Any) -> Any:
        with matmul_precision(getattr(self.cfg.model, "matmul_precision", "highest")):
            return train_step(self, *args, **kwargs)

    Trainer.train_step = train_step_with_precision


@contextlib.contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Use torch's ``precision`` in the block; ``highest`` leaves what the process has."""
    if precision == "highest":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
