"""``--matmul-precision``: updates with rounded factors, everything else with exact ones."""

import functools
from typing import Any

from fairseq.trainer import Trainer

from fairseq_alone.modules.matmul_precision import matmul_precision


def install() -> None:
    """Make every update with the precision that the model's flags ask for."""
    # torch's setting is one of the whole process: around the update only, validation is in float32.
    train_step = Trainer.train_step

    @functools.wraps(train_step)
    def train_step_with_precision(self: Trainer, *args: Any, **kwargs: Any) -> Any:
        with matmul_precision(getattr(self.cfg.model, "matmul_precision", "highest")):
            return train_step(self, *args, **kwargs)

    Trainer.train_step = train_step_with_precision
