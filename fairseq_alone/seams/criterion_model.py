"""Criterions that need something of the model."""

import functools
from typing import Any

from fairseq.trainer import Trainer


def install() -> None:
    """Call ``check_model`` of criterions that have it, before the training."""
    # fairseq builds the criterion from its own flags, and nothing tells it of the model before the first batch.
    original = Trainer.__init__

    @functools.wraps(original)
    def init(self: Trainer, cfg: Any, task: Any, model: Any, criterion: Any, *args: Any, **kwargs: Any) -> None:
        if hasattr(criterion, "check_model"):
            criterion.check_model(model)
        original(self, cfg, task, model, criterion, *args, **kwargs)

    Trainer.__init__ = init
