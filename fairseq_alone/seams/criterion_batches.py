"""Criterions that need the batches of the training."""

import functools
from typing import Any

from fairseq.trainer import Trainer

from fairseq_alone.errors import UserError


def install() -> None:
    """Call ``set_batches`` of criterions that have it, with the data set and its batches, before each epoch."""
    # Batches are made, then shuffled and dealt out to workers, and nothing tells the criterion of them.
    original = Trainer.get_train_iterator

    @functools.wraps(original)
    def get_train_iterator(self: Trainer, *args: Any, **kwargs: Any) -> Any:
        iterator = original(self, *args, **kwargs)
        if hasattr(self._criterion, "set_batches"):
            if not hasattr(iterator, "frozen_batches") or not hasattr(iterator, "dataset"):
                raise UserError(
                    f"--criterion {self.cfg.criterion._name} needs a task whose batches are known before the training"
                )
            self._criterion.set_batches(iterator.dataset, iterator.frozen_batches)
        return iterator

    Trainer.get_train_iterator = get_train_iterator
