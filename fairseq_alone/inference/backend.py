"""What decodes: units of the source in, the best hypotheses out. fairseq is one backend, CTranslate2 another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class UnitHypothesis:
    """One hypothesis before its units are joined.

    Args:
        units: with a space between.
        score: the mean log-probability that the search ranks by, divided by ``length ** lenpen``, in nats.
    """

    units: str
    score: float


@dataclass(frozen=True)
class Search:
    """How to decode; see :class:`~fairseq_alone.inference.trained_model.Decoding`.

    Args:
        nbest: hypotheses of each sentence, at most ``beam``.
        desired_length: units of the output, for models with a length encoding; else None.
    """

    beam: int
    lenpen: float
    sentences: int
    max_len_a: float
    max_len_b: int
    nbest: int = 1
    desired_length: int | None = None


class Backend(Protocol):
    """Decodes batches. May be used by several threads at once."""

    #: The longest source, in units without the end symbol.
    max_source_units: int

    def decode(
        self, sources: Sequence[str], search: Search, progress: Callable[[int], object] | None = None
    ) -> list[list[UnitHypothesis]]:
        """The n best hypotheses of each source, best first.

        Args:
            sources: units with a space between, none of them empty, none longer than :attr:`max_source_units`.
            search: how.
            progress: called with the number of sentences that were just done.
        """


class Scorer(Protocol):
    """Scores running text with a language model. May be used by several threads at once."""

    #: The longest text, in units without the end symbol.
    max_units: int

    def score(self, texts: Sequence[str]) -> list[list[float]]:
        """The log-probability of every unit and of the end of the text, in nats, for each text.

        Args:
            texts: units with a space between; each is scored from an empty context, as a sentence of its own.
        """


@runtime_checkable
class RunningScorer(Scorer, Protocol):
    """A scorer that can read text on and on, with a model that has a state."""

    def score_running(self, texts: Sequence[str], progress: Callable[[int], object] | None = None) -> list[list[float]]:
        """What :meth:`Scorer.score` gives, but for each text from the state that the one before left.

        Args:
            texts: of any length; the first is scored from an empty state.
            progress: called with the number of units that were just scored.

        Raises:
            UserError: the model has no state.
        """
