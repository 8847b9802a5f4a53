"""What all embeddings without a table share: look-ups, the whole matrix, and its cache."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Self  # noqa: UP035 (torch needs it anyway; typing has it since Python 3.11)

from fairseq_alone.modules.leaf_matrix import LeafMatrix
from fairseq_alone.modules.matrix_cache import MatrixCache
from fairseq_alone.modules.rounding import Rounding, as_computed_with


class ComputedEmbedding(nn.Module):
    """An embedding whose vectors are computed. Usable wherever an ``nn.Embedding`` is only called.

    ``forward(ids)`` equals ``matrix()[ids]`` whenever dropout is off. Subclasses offer :meth:`compute`. With a
    :class:`~fairseq_alone.modules.rounding.Rounding` they find rounded values in their tensors' places there.

    In evaluation without gradients the matrix is computed once and kept, until the module is trained again, loaded,
    moved or converted, an optimizer makes a step, or a parameter is replaced or changed in place (but not by way of its
    ``.data``). In training it is computed whenever it is asked for, or once per update: see :meth:`once_per_update`.

    Args:
        num_embeddings: vocabulary size V.
        embedding_dim: D_e.
        padding_idx: the word whose vector is zero, or None.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None):
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        #: What a trainer that can do either should do: build the matrix once per "update", or in each "forward" pass.
        self.rebuild = "forward"
        #: Whether an output layer needs the whole matrix anyway, so that look-ups may as well read it.
        self.serves_output = False
        #: What the trained tensors are rounded by before anything is computed from them, if they are.
        self.rounding: Rounding | None = None
        self._cache = MatrixCache()
        self._update: LeafMatrix | None = None

    def compute(self, ids: Tensor, input_dropout: bool = False) -> Tensor:
        """Compute the vectors of words.

        Args:
            ids: (N,), integer, in [0, V).
            input_dropout: apply the dropout that is meant for input look-ups, if the module is training.

        Returns:
            (N, D_e).
        """
        raise NotImplementedError

    def forward(self, ids: Tensor) -> Tensor:
        """Look up words: ``(...) -> (..., D_e)``. In training, every distinct word is computed once."""
        if self._may_cache() or self._looks_up_in_update():
            return F.embedding(ids, self.matrix())
        return self._compute_distinct(ids, input_dropout=True)

    def rows(self, ids: Tensor) -> Tensor:
        """Rows of the matrix, ``(...) -> (..., D_e)``, without dropout, for an output layer that needs only these.

        In training no other row is computed, unless the whole matrix of the update is there already.
        """
        if self._may_cache() or (self._update is not None and self._update.is_built):
            return F.embedding(ids, self.matrix())
        return self._compute_distinct(ids, input_dropout=False)

    def _compute_distinct(self, ids: Tensor, input_dropout: bool) -> Tensor:
        distinct, positions = ids.unique(return_inverse=True)
        with as_computed_with(self):
            vectors = self.compute(distinct, input_dropout=input_dropout)
        return F.embedding(positions, vectors)

    def matrix(self) -> Tensor:
        """All vectors, (V, D_e), without dropout. Differentiable when gradients are enabled."""
        if self._update is not None:
            return self._update.read()
        if not self._may_cache():
            return self._build().to(self._dtype())
        return self._cache.read(self._build_for_evaluation, self.parameters())

    def build_matrix(self) -> Tensor:
        """Compute all vectors, (V, D_e), differentiable; in the dtype of the parameters or a wider one."""
        return self.compute(self._all_ids())

    @property
    def input_dropout_is_on(self) -> bool:
        """Whether look-ups differ from rows of the matrix."""
        return False

    @contextlib.contextmanager
    def once_per_update(self) -> Iterator[None]:
        """Within this context the matrix is computed once, at its first use, however often it is used.

        For gradient accumulation: the micro-batches read one matrix, their gradients add up beside it in float32, and
        reach the parameters at the end of the context, in one backward pass of the embedding::

            for micro_batches in updates:
                optimizer.zero_grad()
                with embedding.once_per_update():
                    for ids, targets in micro_batches:
                        features = body(embedding(ids))
                        logits = projection(features)  # a TiedProjection of the embedding
                        F.cross_entropy(logits, targets).backward()
                clip_grad_norm_(parameters, 1.0)
                optimizer.step()

        Change no parameters within. After an error within, the gradient is dropped. Not for
        ``DistributedDataParallel``, which expects the embedding's gradients from each backward pass.
        """
        self.begin_update()
        try:
            yield
            self.push_gradient()
        finally:
            self.end_update()

    def begin_update(self) -> None:
        """Begin what :meth:`once_per_update` does. RuntimeError: it has begun already."""
        if self._update is not None:
            raise RuntimeError("the embedding is within an update already")
        self._cache.drop()
        self._update = LeafMatrix(self._build, list(self.parameters()), self._dtype())

    @property
    def in_update(self) -> bool:
        """Whether an update has begun and not ended."""
        return self._update is not None

    def push_gradient(self) -> None:
        """Add the gradient that has come in since the beginning to those of the parameters."""
        if self._update is not None:
            self._update.push_gradient()

    def drop_gradient(self) -> None:
        """Forget the gradient that has come in, as the gradients of parameters are zeroed."""
        if self._update is not None:
            self._update.drop()

    def end_update(self) -> bool:
        """End the update. Tells whether a gradient had come in and was neither pushed nor dropped."""
        lost = self._update is not None and self._update.gradient_waits
        self._update = None
        return lost

    @property
    def weight(self) -> Tensor:
        """The matrix (V, D_e), for tools that only look at ``weight``."""
        return self.matrix()

    def train(self, mode: bool = True) -> Self:
        """Set training mode, like every module; drops the cached matrix."""
        self._cache.drop()
        return super().train(mode)

    def _may_cache(self) -> bool:
        may_cache = not self.training and not torch.is_grad_enabled()
        if not may_cache:
            # Gradients mean that an optimizer may follow, in evaluation mode as well.
            self._cache.drop()
        return may_cache

    def _looks_up_in_update(self) -> bool:
        if self._update is None or self.input_dropout_is_on:
            return False
        # For input words alone a whole matrix would be too much.
        return self.serves_output or self._update.is_built

    def _dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def _all_ids(self) -> Tensor:
        return torch.arange(self.num_embeddings, device=next(self.parameters()).device)

    def _build_for_evaluation(self) -> Tensor:
        # The matrix outlives an autocast region, so it is made in the dtype of the parameters.
        with torch.autocast(self._all_ids().device.type, enabled=False):
            return self._build().to(self._dtype())

    def _build(self) -> Tensor:
        with as_computed_with(self):
            return self.build_matrix()

    def _forget_matrices(self) -> None:
        if self._update is not None:
            raise RuntimeError("parameters must not be loaded, moved or converted within an update")
        self._cache.drop()
        if self.rounding is not None:
            self.rounding.forget()

    def values_were_replaced(self) -> None:
        """Tell that all tensors were given the values of another module, by way of their ``.data``."""
        self._forget_matrices()

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Self:
        self._forget_matrices()
        return super()._apply(fn, *args, **kwargs)

    def _load_from_state_dict(self, *args: Any) -> None:
        self._forget_matrices()
        super()._load_from_state_dict(*args)

    def __getstate__(self) -> dict:
        # A copy, like that of fairseq's moving average of models, is in no update.
        return {**self.__dict__, "_update": None}

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        return f"{self.num_embeddings}, {self.embedding_dim}, padding_idx={self.padding_idx}"
