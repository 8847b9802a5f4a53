"""A model that writes: raw text in, translations or headlines out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from fairseq_alone.errors import SettingError
from fairseq_alone.inference.hypothesis import Hypothesis
from fairseq_alone.inference.loaded_model import LoadedModel
from fairseq_alone.inference.search_settings import SearchSettings
from fairseq_alone.inference.texts import as_list

if TYPE_CHECKING:
    from fairseq_alone.inference.backend import Backend, Search
    from fairseq_alone.inference.text_pipeline import TextPipeline
    from fairseq_alone.inference.trained_model import ModelFacts
    from fairseq_alone.loading import Origin

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TooLong:
    """A text that was not translated.

    Args:
        number: of the text, from 1.
        units: how many it has.
        limit: how many the model takes.
    """

    number: int
    units: int
    limit: int

    def __str__(self) -> str:
        """What happened, in one sentence."""
        return f"line {self.number} has {self.units:,} units, but the model takes {self.limit:,}: it is left empty"


def log_too_long(line: TooLong) -> None:
    """Warn of it, through the logger ``fairseq_alone.inference.translator``."""
    _logger.warning("%s", line)


class Translator(LoadedModel):
    """Translates, or writes headlines. :func:`fairseq_alone.load` makes one.

    Several threads may use one at once: a call has a search of its own, and the model, which they share, does not
    change (its embedding was computed when it was loaded). PyTorch divides the work of one call among cores already, so
    threads are for servers that have several requests at a time.

    Args:
        facts: of a model for translation or headlines.
        pipeline: how text is split and joined.
        backend: what decodes.
        origin: what it was loaded from; without, it cannot be pickled.
    """

    def __init__(
        self, facts: ModelFacts, pipeline: TextPipeline, backend: Backend, origin: Origin | None = None
    ) -> None:
        super().__init__(facts, pipeline, origin)
        self._backend = backend

    @property
    def needs_desired_length(self) -> bool:
        """Whether the model has a length encoding, so that ``desired_length`` must be given."""
        return self._facts.has_length_encoding

    @property
    def length_unit(self) -> str:
        """What ``desired_length`` counts: ``"characters"`` or ``"pieces"`` (subwords)."""
        return "characters" if self._facts.text.target_units == "characters" else "pieces"

    # A string is an iterable of strings, too; the first that fits counts.
    @overload
    def translate(  # type: ignore[overload-overlap]
        self,
        text: str,
        *,
        beam: int | None = None,
        lenpen: float | None = None,
        sentences: int | None = None,
        max_len_a: float | None = None,
        max_len_b: int | None = None,
        desired_length: int | None = None,
    ) -> str: ...

    @overload
    def translate(
        self,
        text: Iterable[str],
        *,
        beam: int | None = None,
        lenpen: float | None = None,
        sentences: int | None = None,
        max_len_a: float | None = None,
        max_len_b: int | None = None,
        desired_length: int | None = None,
    ) -> list[str]: ...

    def translate(
        self,
        text: str | Iterable[str],
        *,
        beam: int | None = None,
        lenpen: float | None = None,
        sentences: int | None = None,
        max_len_a: float | None = None,
        max_len_b: int | None = None,
        desired_length: int | None = None,
    ) -> str | list[str]:
        """The best translation or headline of each text.

        Args:
            text: one text, or several. Words that the model does not know are no error.
            beam: size of the beam, at least 1.
            lenpen: exponent of the length penalty: above 1 favours long outputs, below short ones.
            sentences: decoded at a time; changes the speed and the memory, not the result.
            max_len_a: with ``max_len_b`` the longest output, ``max_len_a * (length of the source) + max_len_b`` units.
            max_len_b: at least 1.
            desired_length: of the output, at least 1, in characters or pieces (see :attr:`length_unit`). Required by
                models with a length encoding, refused by others.

            What is None is the model's own default: of a recipe's run, what its evaluation decodes with.

        Returns:
            one string for a string, a list of as many strings for several. ``""`` for a blank text, and, with a warning
            in the log, for one that is longer than the model takes.

        Raises:
            SettingError: a setting is out of its range.
            UserError: the desired length is beyond the end of the search.
        """
        settings = SearchSettings(
            beam=beam,
            nbest=1,
            lenpen=lenpen,
            sentences=sentences,
            max_len_a=max_len_a,
            max_len_b=max_len_b,
            desired_length=desired_length,
        )
        best = [found[0].text if found else "" for found in self.decode(as_list(text), settings)]
        return best[0] if isinstance(text, str) else best

    def hypotheses(
        self,
        texts: Iterable[str],
        *,
        nbest: int | None = None,
        beam: int | None = None,
        lenpen: float | None = None,
        sentences: int | None = None,
        max_len_a: float | None = None,
        max_len_b: int | None = None,
        desired_length: int | None = None,
    ) -> list[list[Hypothesis]]:
        """The n best hypotheses of each text, best first. The other settings are those of :meth:`translate`.

        Args:
            texts: several texts.
            nbest: how many, at most ``beam``; None is all of the beam.

        Returns:
            a list for each text; an empty one for a blank text, and for one that is too long.

        Raises:
            SettingError, UserError: see :meth:`translate`.
        """
        settings = SearchSettings(
            beam=beam,
            nbest=nbest,
            lenpen=lenpen,
            sentences=sentences,
            max_len_a=max_len_a,
            max_len_b=max_len_b,
            desired_length=desired_length,
        )
        return self.decode(as_list(texts), settings)

    def decode(
        self,
        texts: list[str],
        settings: SearchSettings,
        progress: Callable[[int], object] | None = None,
        too_long: Callable[[TooLong], object] = log_too_long,
    ) -> list[list[Hypothesis]]:
        """What :meth:`hypotheses` does, for programs that show their progress.

        Args:
            texts: several texts.
            settings: how to decode.
            progress: called with the number of texts that were just done.
            too_long: called for each text that is longer than the model takes.

        Raises:
            SettingError, UserError: see :meth:`translate`.
        """
        search = self.search(settings)
        found: list[list[Hypothesis]] = [[] for _ in texts]
        sources: dict[int, str] = {}
        for position, text in enumerate(texts):
            units = self._pipeline.encode(text)
            count = len(units.split())
            if count > self._backend.max_source_units:
                too_long(TooLong(position + 1, count, self._backend.max_source_units))
            elif count:
                sources[position] = units
        if progress is not None and len(sources) < len(texts):
            progress(len(texts) - len(sources))
        if sources:
            decoded = self._backend.decode(list(sources.values()), search, progress)
            for position, best in zip(sources, decoded, strict=True):
                found[position] = [Hypothesis(self._pipeline.decode(one.units), one.score, one.units) for one in best]
        return found

    def search(self, settings: SearchSettings) -> Search:
        """The settings with the model's defaults for those that are None.

        Raises:
            SettingError: one is out of its range, or the desired length is missing or not for this model.
        """
        search = settings.search(self._facts.decoding)
        if self._facts.has_length_encoding and search.desired_length is None:
            raise SettingError("desired_length", f"is missing: {self.path} writes to a length, in {self.length_unit}")
        if not self._facts.has_length_encoding and search.desired_length is not None:
            raise SettingError("desired_length", f"is not for {self.path}: it was trained without a length encoding")
        return search
