"""The state of a recurrent network between pieces of one long text (truncated back-propagation through time)."""

import torch
from torch import Tensor

State = list[tuple[Tensor, Tensor]]


class CarriedState:
    """Keeps what each layer's state is at the end of a piece, detached, for the piece that follows.

    Training and evaluation have states of their own, so that a validation changes nothing of a training.
    """

    def __init__(self) -> None:
        self._states: dict[bool, State] = {}

    def begin(self, first: bool, training: bool, batch: int) -> State | None:
        """What a piece begins with: None, an empty state, for the first one of the text.

        Args:
            first: whether the piece is the first one.
            training: whether this is training.
            batch: B, how many texts are read side by side.

        Raises:
            RuntimeError: there was no piece before, or one of another number of texts.
        """
        if first:
            return None
        state = self._states.get(training)
        if state is None:
            raise RuntimeError("a piece of a text that is not its first one, but no state of the piece before")
        if state[0][0].size(0) != batch:
            raise RuntimeError(f"the piece before had {state[0][0].size(0)} texts side by side, this one has {batch}")
        return state

    def has_begun(self, training: bool) -> bool:
        """Whether there was a piece before."""
        return training in self._states

    def keep(self, state: State, training: bool) -> None:
        """Remember how a piece ended."""
        self._states[training] = [(hidden.detach(), cell.detach()) for hidden, cell in state]

    def of_training(self) -> Tensor | None:
        """The state of the training as one tensor (L, 2, B, H), or None before its first piece."""
        state = self._states.get(True)
        return None if state is None else torch.stack([torch.stack(layer) for layer in state])

    def resume(self, state: Tensor) -> None:
        """Go on with a training whose state was :meth:`of_training`."""
        self._states[True] = [(layer[0], layer[1]) for layer in state]
