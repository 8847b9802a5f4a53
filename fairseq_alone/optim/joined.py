"""Two optimizers that look like one."""

from collections.abc import Callable

import torch


class JoinedOptimizers(torch.optim.Optimizer):
    """Two optimizers that step together, with one state dict of the usual form.

    Args:
        adam: updates its parameters; its groups come first.
        other: updates the others.
    """

    def __init__(self, adam: torch.optim.Optimizer, other: torch.optim.Optimizer):
        super().__init__(adam.param_groups + other.param_groups, {})
        self.adam, self.other = adam, other
        self._share()

    # torch's annotation has one signature with a closure and one without.
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update all parameters. Returns what ``closure`` returns."""
        loss = self.adam.step(closure)
        self.other.step()
        return loss

    def load_state_dict(self, state_dict: dict) -> None:
        """Load what ``state_dict()`` gave."""
        super().load_state_dict(state_dict)
        self._share()

    def _share(self) -> None:
        # The groups and the state are this object's; the two work on them.
        first = len(self.adam.param_groups)
        self.adam.param_groups, self.other.param_groups = self.param_groups[:first], self.param_groups[first:]
        self.adam.state = self.other.state = self.state
