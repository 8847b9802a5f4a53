"""Which matrix the target distributions of the augmented loss come from, when it is not simply the current one."""

from collections.abc import Callable

from torch import Tensor

from fairseq_alone.errors import SettingError


class RefreshedMatrix:
    """A copy of the matrix, taken again every N updates: the target distributions stand still in between.

    The copy is not part of a checkpoint, so a resumed training takes a new one at once.

    Args:
        every: N, at least 1.

    Raises:
        SettingError: N is not positive.
    """

    def __init__(self, every: int):
        if every < 1:
            raise SettingError("refresh", f"must be at least 1, got {every}")
        self.every = every
        self._kept: Tensor | None = None
        self._period = -1

    def __call__(self, current: Callable[[], Tensor], num_updates: int, training: bool) -> Tensor:
        """The matrix to use.

        Args:
            current: gives the current matrix (V, D); called only when it is needed.
            num_updates: how many updates were made.
            training: without it, nothing is refreshed.

        Returns:
            (V, D), float32, without gradient.
        """
        period = num_updates // self.every
        if self._kept is None or (training and period != self._period):
            self._kept, self._period = _copy(current()), period
        return self._kept


class AveragedMatrix:
    """An exponential moving average of the matrix over the updates: ``kept = decay * kept + (1 - decay) * current``.

    The average is not part of a checkpoint, so a resumed training starts a new one from the current matrix.

    Args:
        decay: in (0, 1).

    Raises:
        SettingError: the decay is outside (0, 1).
    """

    def __init__(self, decay: float):
        if not 0.0 < decay < 1.0:
            raise SettingError("decay", f"must lie between 0 and 1, both excluded, got {decay}")
        self.decay = decay
        self._kept: Tensor | None = None
        self._updated_at = -1

    def __call__(self, current: Callable[[], Tensor], num_updates: int, training: bool) -> Tensor:
        """The matrix to use; see :meth:`RefreshedMatrix.__call__`."""
        if self._kept is None:
            self._kept, self._updated_at = _copy(current()), num_updates
        elif training and num_updates != self._updated_at:
            self._kept.lerp_(current().detach().float(), 1.0 - self.decay)
            self._updated_at = num_updates
        return self._kept


def _copy(matrix: Tensor) -> Tensor:
    # The optimizer changes a table in place, so a view of it would follow.
    return matrix.detach().float().clone()
