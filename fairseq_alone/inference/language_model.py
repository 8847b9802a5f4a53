"""A language model: how likely text is."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from fairseq_alone.errors import UserError
from fairseq_alone.inference.backend import RunningScorer
from fairseq_alone.inference.loaded_model import LoadedModel
from fairseq_alone.inference.texts import as_list

if TYPE_CHECKING:
    from fairseq_alone.inference.backend import Scorer
    from fairseq_alone.inference.text_pipeline import TextPipeline
    from fairseq_alone.inference.trained_model import ModelFacts
    from fairseq_alone.loading import Origin

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextScore:
    """How likely a text is.

    Args:
        log_probability: of all its units and its end together, in nats.
        units: how many there are, the end counted.
    """

    log_probability: float
    units: int

    @property
    def perplexity(self) -> float:
        """``exp(-log_probability / units)``, per unit."""
        return _perplexity(self.log_probability, self.units)


def perplexity(scores: Iterable[TextScore]) -> float:
    """The perplexity of several texts together: that of all their units. NaN for none; texts without a score count not.

    It is what ``fairseq-eval-lm --sample-break-mode eos`` prints.
    """
    known = [score for score in scores if not math.isnan(score.log_probability)]
    return _perplexity(sum(score.log_probability for score in known), sum(score.units for score in known))


def _perplexity(log_probability: float, units: int) -> float:
    if not units:
        return math.nan
    try:
        return math.exp(-log_probability / units)
    except OverflowError:
        return math.inf


class LanguageModel(LoadedModel):
    """Scores text. :func:`fairseq_alone.load` makes one. Several threads may use one at once, as with ``Translator``.

    Args:
        facts: of a language model.
        pipeline: how text is split.
        scorer: what scores.
        origin: what it was loaded from; without, it cannot be pickled.
    """

    def __init__(self, facts: ModelFacts, pipeline: TextPipeline, scorer: Scorer, origin: Origin | None = None) -> None:
        super().__init__(facts, pipeline, origin)
        self._scorer = scorer

    @property
    def carries_state(self) -> bool:
        """Whether the model was trained on text that goes on from line to line, see :meth:`score_running`."""
        return self._facts.carries_state

    # A string is an iterable of strings, too; the first that fits counts.
    @overload
    def score(self, texts: str) -> TextScore: ...  # type: ignore[overload-overlap]

    @overload
    def score(self, texts: Iterable[str]) -> list[TextScore]: ...

    def score(self, texts: str | Iterable[str]) -> TextScore | list[TextScore]:
        """Score each text from an empty context, its end included.

        Args:
            texts: one text, or several. A blank text has one unit, its end. Words that the model does not know count as
                ``<unk>``.

        Returns:
            one score for a string, a list of as many for several. For a text that is longer than the model takes the
            log-probability is NaN, and the log has a warning.
        """
        encoded = self._encode(texts)
        counts = [len(units.split()) for units in encoded]
        limit = self._scorer.max_units
        scores = [TextScore(math.nan, count + 1) for count in counts]
        chosen = [position for position, count in enumerate(counts) if count <= limit]
        for position, row in zip(chosen, self._scorer.score([encoded[position] for position in chosen]), strict=True):
            scores[position] = TextScore(math.fsum(row), len(row))
        for number, count in enumerate(counts, start=1):
            if count > limit:
                _logger.warning("line %d has %s units, but the model takes %s: it has no score", number, count, limit)
        return scores[0] if isinstance(texts, str) else scores

    def score_running(self, texts: Iterable[str], progress: Callable[[int], object] | None = None) -> list[TextScore]:
        """Score texts as one running text: each from the state that the one before left.

        It is how a training with ``--carry-state`` reads, and the perplexity of all of them is that of the recipe's
        ``evaluate``. There is no limit of length.

        Args:
            texts: several texts, of which the first has an empty state.
            progress: called with the number of units that were just scored.

        Raises:
            UserError: the model has no state (it is a Transformer), or what runs it carries none.
        """
        if not isinstance(self._scorer, RunningScorer):
            raise UserError(f"{self.path}: is run by what carries no state from one line to the next")
        rows = self._scorer.score_running(self._encode(texts), progress)
        return [TextScore(math.fsum(row), len(row)) for row in rows]

    def _encode(self, texts: str | Iterable[str]) -> list[str]:
        return [self._pipeline.encode(text) for text in as_list(texts)]
