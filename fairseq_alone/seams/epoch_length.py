"""Learning rates that depend on how many updates an epoch has."""

import functools
from typing import Any

from fairseq.trainer import Trainer


def install() -> None:
    """Call ``set_updates_per_epoch`` of schedulers that have it, as soon as the batches of an epoch are known."""
    # fairseq gives a scheduler the number of updates at most, which the user has to count.
    original = Trainer.get_train_iterator

    @functools.wraps(original)
    def get_train_iterator(self: Trainer, *args: Any, **kwargs: Any) -> Any:
        iterator = original(self, *args, **kwargs)
        if hasattr(self.lr_scheduler, "set_updates_per_epoch"):
            # The first of several is that of the first epoch.
            every = self.cfg.optimization.update_freq[0]
            self.lr_scheduler.set_updates_per_epoch(-(-len(iterator) // every))
            self.lr_step_update()
        return iterator

    Trainer.get_train_iterator = get_train_iterator
