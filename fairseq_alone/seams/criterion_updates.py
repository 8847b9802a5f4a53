"""Criterions that follow the number of updates."""

import functools

from fairseq.trainer import Trainer


def install() -> None:
    """Call ``set_num_updates`` of criterions that have it."""
    # fairseq tells the model and the schedulers how many updates were made, but not the criterion.
    original = Trainer.set_num_updates

    @functools.wraps(original)
    def set_num_updates(self: Trainer, num_updates: int) -> None:
        original(self, num_updates)
        if hasattr(self._criterion, "set_num_updates"):
            self._criterion.set_num_updates(num_updates)

    Trainer.set_num_updates = set_num_updates
