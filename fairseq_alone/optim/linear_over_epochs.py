"""``--lr-scheduler linear_over_epochs``: a learning rate that falls to near 0 at the end of ``--max-epoch``."""

from dataclasses import dataclass, field
from typing import Any

from fairseq.dataclass import FairseqDataclass
from fairseq.optim.lr_scheduler import FairseqLRScheduler, register_lr_scheduler
from omegaconf import II

from fairseq_alone.errors import UserError


@dataclass
class LinearOverEpochsConfig(FairseqDataclass):
    """Where the rate ends."""

    linear_end_share: float = field(
        default=1e-4, metadata={"help": "the last learning rate in units of --lr; 1e-4 in word2vec"}
    )
    max_epoch: int = II("optimization.max_epoch")
    lr: list[float] = II("optimization.lr")


@register_lr_scheduler("linear_over_epochs", dataclass=LinearOverEpochsConfig)
class LinearOverEpochs(FairseqLRScheduler):
    """word2vec's schedule. Unlike ``polynomial_decay`` it needs no number of updates: ``seams/epoch_length.py`` tells.

    Raises:
        UserError: there is no ``--max-epoch``, or a flag is outside its range.
    """

    def __init__(self, cfg: Any, optimizer: Any):
        super().__init__(cfg, optimizer)
        if not cfg.max_epoch or cfg.max_epoch < 1:
            raise UserError("--lr-scheduler linear_over_epochs needs --max-epoch N, over which the learning rate falls")
        if len(cfg.lr) > 1:
            raise UserError("--lr-scheduler linear_over_epochs needs one --lr")
        if not 0.0 <= cfg.linear_end_share <= 1.0:
            raise UserError(f"--linear-end-share must be from 0 to 1, got {cfg.linear_end_share}")
        self._updates: int | None = None
        self.optimizer.set_lr(cfg.lr[0])

    def set_updates_per_epoch(self, updates: int) -> None:
        """Tell how many updates an epoch has, before the first one."""
        self._updates = updates

    def step_update(self, num_updates: int) -> float:
        """Set the rate after so many updates."""
        if self._updates is not None:
            gone = num_updates / (self._updates * self.cfg.max_epoch)
            self.optimizer.set_lr(self.cfg.lr[0] * max(1.0 - gone, self.cfg.linear_end_share))
        return self.optimizer.get_lr()
