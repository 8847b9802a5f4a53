"""A matrix that is kept while the parameters that it was computed from stay as they are."""

from collections.abc import Callable, Iterable

from torch import Tensor

from fairseq_alone.modules.parameter_state import ParameterState


class MatrixCache:
    """Keeps one computed matrix. A copy of the cache, with a model that is copied or pickled, is empty."""

    _matrix: Tensor | None
    _state: ParameterState | None

    def __init__(self) -> None:
        self.drop()

    def read(self, build: Callable[[], Tensor], parameters: Iterable[Tensor]) -> Tensor:
        """The matrix: the one kept, or what ``build`` makes now if a parameter is another or has changed since."""
        parameters = list(parameters)
        # A moving average of models, for example, changes its parameters in evaluation, without gradients.
        if self._matrix is None or self._state is None or not self._state.is_that_of(parameters):
            state = ParameterState(parameters)
            self._matrix = build()
            # Only now: a build that failed leaves nothing that looks up to date.
            self._state = state
        return self._matrix

    def drop(self) -> None:
        """Forget the matrix."""
        self._matrix = self._state = None

    def __getstate__(self) -> dict:
        return {"_matrix": None, "_state": None}
