"""The space that the target distributions of the augmented loss live in."""

from collections.abc import Callable
from typing import Any, Self

import torch
from fairseq.data import Dictionary
from torch import Tensor, nn

from fairseq_alone.corpus.vector_file import coverage, read_word_vectors
from fairseq_alone.criterions.augmented_loss_flags import AugmentedLossFlags
from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.modules.kept_matrix import AveragedMatrix, RefreshedMatrix


class AugmentedLossTarget(nn.Module):
    """Chooses the matrix ``L`` of the target distributions: the current one, a kept one, or pre-trained vectors.

    Pre-trained vectors move with the criterion to a GPU, stay in float32 there, and are not part of a checkpoint.

    Args:
        flags: those of :class:`~fairseq_alone.criterions.augmented_loss_flags.AugmentedLossFlags`.
        dictionary: the vocabulary of the targets.

    Raises:
        UserError: flags contradict each other or are outside their range, or the vectors cannot be used.
    """

    vectors: Tensor | None
    covered: Tensor | None

    def __init__(self, flags: AugmentedLossFlags, dictionary: Dictionary):
        super().__init__()
        self.gradient = flags.augmented_loss_target_gradient
        self._kept: RefreshedMatrix | AveragedMatrix | None = None
        self.register_buffer("vectors", None, persistent=False)
        self.register_buffer("covered", None, persistent=False)
        chosen: dict[str, Any] = {
            "refresh": flags.augmented_loss_target_refresh,
            "decay": flags.augmented_loss_target_decay,
            "vectors": flags.augmented_loss_target_vectors,
        }
        names = [f"--augmented-loss-target-{name}" for name, value in chosen.items() if value]
        if len(names) > 1:
            raise UserError(f"{' and '.join(names)} contradict each other; give one of them")
        if names and self.gradient:
            raise UserError(
                f"--augmented-loss-target-gradient needs the current embedding, but {names[0]} takes another matrix"
            )
        least = flags.augmented_loss_target_coverage
        if not 0.0 <= least <= 1.0:
            raise UserError(f"--augmented-loss-target-coverage must lie between 0 and 1, got {least}")
        try:
            if chosen["refresh"]:
                self._kept = RefreshedMatrix(chosen["refresh"])
            elif chosen["decay"]:
                self._kept = AveragedMatrix(chosen["decay"])
        except SettingError as error:
            raise UserError(f"--augmented-loss-target-{error.setting} {error.problem}") from error
        if chosen["vectors"]:
            self._read_vectors(chosen["vectors"], least, dictionary)

    def matrix(self, current: Callable[[], Tensor], num_updates: int, training: bool) -> Tensor:
        """The matrix (V, D); it carries a gradient only with ``--augmented-loss-target-gradient``.

        Args:
            current: gives the matrix that embeds the input words; called only when it is needed.
            num_updates: how many updates were made.
            training: whether this is training, and no validation.
        """
        if self.vectors is not None:
            return self.vectors
        with torch.set_grad_enabled(self.gradient and torch.is_grad_enabled()):
            return current() if self._kept is None else self._kept(current, num_updates, training)

    def without_uncovered(self, values: Tensor, targets: Tensor) -> Tensor:
        """The losses (N,) of the tokens, zero where the target (N,) has no pre-trained vector."""
        if self.covered is None:
            return values
        return values * self.covered.to(targets.device)[targets]

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Self:
        vectors = self.vectors
        super()._apply(fn, *args, **kwargs)
        if vectors is not None:
            assert self.vectors is not None  # it was converted
            self.vectors = vectors.to(self.vectors.device)  # with --fp16, criterions are converted to half
        return self

    def _read_vectors(self, path: str, least: float, dictionary: Dictionary) -> None:
        self.vectors, self.covered = read_word_vectors(path, dictionary)
        share = coverage(self.covered, dictionary)
        if share < least:
            raise UserError(
                f"--augmented-loss-target-vectors {path} covers {share:.1%} of the running words, less than "
                f"--augmented-loss-target-coverage {least:.1%}: are its words those of this vocabulary?"
            )


def input_matrix(model: Any) -> Tensor:
    """The matrix (V, D) that embeds the decoder's input words, stored or computed.

    It carries a gradient when gradients are enabled. Raises UserError for an adaptive input, which has no such matrix.
    """
    embedding: Any = getattr(model.decoder, "embed_tokens", None)
    matrix = embedding.matrix() if hasattr(embedding, "matrix") else getattr(embedding, "weight", None)
    if matrix is None:
        raise UserError("--augmented-loss-weight needs one embedding matrix, but this decoder has none")
    return matrix if torch.is_grad_enabled() else matrix.detach()
