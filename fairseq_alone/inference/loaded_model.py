"""What a :class:`~fairseq_alone.inference.translator.Translator` and a language model in use have in common."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from fairseq_alone.inference.text_pipeline import TextPipeline
    from fairseq_alone.inference.trained_model import ModelFacts
    from fairseq_alone.loading import Origin


class LoadedModel:
    """A model in use, which never changes: a copy, or deep copy, is itself.

    A pickle holds the path and the options, not the model: it is loaded again where the pickle is read, and must be
    there.

    Args:
        facts: of the model.
        pipeline: how text is split and joined.
        origin: what it was loaded from; without, it cannot be pickled.
    """

    def __init__(self, facts: ModelFacts, pipeline: TextPipeline, origin: Origin | None) -> None:
        self._facts, self._pipeline, self._origin = facts, pipeline, origin

    @classmethod
    def load(cls, path: str | os.PathLike[str], **options: Any) -> Self:
        """As :func:`fairseq_alone.load`, for type checkers. UserError: the model is of another kind."""
        from fairseq_alone.loading import load_kind

        return load_kind(cls, path, **options)

    @property
    def path(self) -> str:
        """What the model was read from."""
        return self._facts.path

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.path}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict) -> Self:
        return self

    def __reduce__(self) -> tuple:
        from fairseq_alone.loading import reduced

        return reduced(self._origin)
