"""The matrix of one optimizer update: built once, read by every micro-batch, its gradient pushed through once."""

from collections.abc import Callable

import torch
from torch import Tensor

from fairseq_alone.modules.parameter_state import versions


class LeafMatrix:
    """A matrix that is built at its first use and stays until its gradient has been pushed through, or dropped.

    What the micro-batches read is detached from how it was built. Their gradients add up beside it, in float32 at
    least, and go through the parameters in one backward pass.

    Args:
        build: makes the matrix (V, D_e), differentiable.
        parameters: what it is made of.
        dtype: what it is read in.
    """

    _built: Tensor | None
    _leaf: Tensor | None
    _read: Tensor | None
    _versions: list[int | None]

    def __init__(self, build: Callable[[], Tensor], parameters: list[Tensor], dtype: torch.dtype):
        self._build = build
        self._parameters = parameters
        self._dtype = dtype
        self.drop()

    def read(self) -> Tensor:
        """The matrix (V, D_e). Its gradient is kept here."""
        if self._read is None:
            self._versions = self._current_versions()
            # The first read may be in a region whose activations are computed again for the gradient (checkpointing).
            # It hooks what is saved within it, yet the matrix is not computed again: the second time it is there.
            with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(_unchanged, _unchanged):
                built = self._build()
                if built.dtype in (torch.float16, torch.bfloat16):
                    built = built.float()
                self._built, self._leaf = built, built.detach().requires_grad_(built.requires_grad)
                # Converting keeps nothing for its gradient, so any number of backward passes may go through it.
                self._read = self._leaf.to(self._dtype)
        return self._read

    @property
    def is_built(self) -> bool:
        """Whether the matrix is there."""
        return self._read is not None

    @property
    def gradient_waits(self) -> bool:
        """Whether a gradient has come in and was not pushed through."""
        return self._leaf is not None and self._leaf.grad is not None

    def push_gradient(self) -> None:
        """Add the gradient to those of the parameters, and forget the matrix. Nothing happens when none came in.

        Raises:
            RuntimeError: a parameter was changed since the matrix was built.
        """
        if self.gradient_waits:
            assert self._built is not None
            assert self._leaf is not None
            if self._versions != self._current_versions():
                raise RuntimeError("parameters were changed within an update, before the gradient reached them")
            self._built.backward(self._leaf.grad)
        self.drop()

    def drop(self) -> None:
        """Forget the matrix and its gradient."""
        self._built = self._leaf = self._read = None
        self._versions = []

    def _current_versions(self) -> list[int | None]:
        return versions(self._parameters)


def _unchanged(tensor: Tensor) -> Tensor:
    return tensor
