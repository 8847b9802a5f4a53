"""Decoding and scoring with CTranslate2, so that hypotheses and scores are those of fairseq's search."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Sequence
from typing import Any

from fairseq_alone.errors import UserError
from fairseq_alone.inference.backend import Backend, Scorer, Search, UnitHypothesis
from fairseq_alone.inference.ctranslate2_folder import PAD, CTranslate2Settings, read_settings
from fairseq_alone.inference.trained_model import Decoding, TextSettings

_START, _END, _UNKNOWN = "<s>", "</s>", "<unk>"

# With no penalty at all CTranslate2 stops at another moment than fairseq; this one changes no score.
_NEARLY_ZERO = 1e-9

# The units of a hypothesis and its score.
_Found = tuple[list[str], float]

# Sentences that are scored at a time, so that the logits of long ones fit into memory.
_SCORED = 8


def open_ctranslate2(
    path: str, device: str = "cpu", threads: int | None = None
) -> tuple[TextSettings, Decoding, Backend]:
    """What translation needs of a folder that ``export --to ctranslate2`` wrote. Needs no torch.

    Args:
        path: the folder.
        device: torch's name of the device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
        threads: of one translation; None lets CTranslate2 choose.

    Raises:
        UserError: the folder is damaged, foreign or newer, holds a language model, or CTranslate2 is missing.
    """
    settings = read_settings(path)
    if settings.kind == "language_model":
        raise UserError(f"{path}: is a language model, which scores text and translates none")
    return settings.text, settings.decoding, CTranslate2Backend(path, settings, device, threads)


def open_ctranslate2_scorer(path: str, device: str = "cpu", threads: int | None = None) -> tuple[TextSettings, Scorer]:
    """The same for a language model. Raises UserError as :func:`open_ctranslate2` does."""
    settings = read_settings(path)
    if settings.kind != "language_model":
        raise UserError(f"{path}: is no language model; it translates")
    return settings.text, CTranslate2Scorer(path, settings, device, threads)


def ctranslate2_library() -> types.ModuleType:
    """CTranslate2, or UserError that says how to install it."""
    try:
        import ctranslate2
    except ImportError as error:
        raise UserError("this needs the library ctranslate2: pip install ctranslate2") from error
    module: types.ModuleType = ctranslate2
    return module


class _Loaded:
    """A folder loaded into CTranslate2. Pickled as the path: what is unpickled loads it again."""

    def __init__(self, kind: str, path: str, settings: CTranslate2Settings, device: str, threads: int | None):
        self._arguments = (path, settings, device, threads)
        self._path, self._settings = path, settings
        name, _, index = device.partition(":")
        library = ctranslate2_library()
        try:
            self._loaded: Any = getattr(library, kind)(
                path, device=name, device_index=int(index or 0), intra_threads=threads or 0
            )
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{path}: CTranslate2 cannot load it on {device} ({error})") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._arguments


class CTranslate2Backend(_Loaded):
    """CTranslate2's beam search, in the batches of fairseq. May be used by several threads at once.

    Args:
        path: the folder.
        settings: what :func:`read_settings` read there.
        device: see :func:`open_ctranslate2`.
        threads: see :func:`open_ctranslate2`.

    Raises:
        UserError: CTranslate2 is missing or cannot load the folder.
    """

    def __init__(self, path: str, settings: CTranslate2Settings, device: str = "cpu", threads: int | None = None):
        super().__init__("Translator", path, settings, device, threads)
        # The end symbol takes one place.
        self.max_source_units = settings.max_input_length - 1

    def decode(
        self, sources: Sequence[str], search: Search, progress: Callable[[int], object] | None = None
    ) -> list[list[UnitHypothesis]]:
        """See :class:`~fairseq_alone.inference.backend.Backend`.

        Raises:
            UserError: a source is longer than :attr:`max_source_units`.
        """
        tokens = [_source_units(source) for source in sources]
        for number, units in enumerate(tokens, 1):
            if len(units) > self.max_source_units:
                raise UserError(
                    f"{self._path}: sentence {number} has {len(units)} units, and its positions end at "
                    f"{self.max_source_units}; export it with a larger --max-input-length"
                )
        # Stable, so that the batches are those of fairseq's backend.
        order = sorted(range(len(tokens)), key=lambda position: len(tokens[position]))
        found: list[list[UnitHypothesis]] = [[] for _ in tokens]
        for start in range(0, len(order), search.sentences):
            chosen = order[start : start + search.sentences]
            for position, best in zip(chosen, self._batch([tokens[p] for p in chosen], search), strict=True):
                found[position] = best[: search.nbest]
            if progress:
                progress(len(chosen))
        return found

    def _batch(self, sources: list[list[str]], search: Search) -> list[list[UnitHypothesis]]:
        longest = max(map(len, sources)) + 1
        # As fairseq counts: the longest sentence of the batch gives the limit of all, the end symbol comes on top.
        steps = min(int(search.max_len_a * longest + search.max_len_b), self._settings.max_output_length - 1)
        limits: dict[str, Any] = {"max_decoding_length": steps, "min_decoding_length": 1}
        found = self._with_true_scores(sources, self._search(sources, search, limits), search.lenpen)
        # fairseq forbids padding after the softmax, CTranslate2 before it, which changes the scores of every step a
        # little. So it is forbidden only where it matters, and then the scores are computed apart.
        again = [position for position, best in enumerate(found) if any(PAD in units for units, _ in best)]
        if again:
            limits["suppress_sequences"] = [[PAD]]
            for position, best in zip(again, self._search([sources[p] for p in again], search, limits), strict=True):
                found[position] = best
        # Hypotheses that were cut at the limit get the end symbol and its probability, as fairseq gives it.
        wrong = [
            (position, rank)
            for position, best in enumerate(found)
            for rank, one in enumerate(best)
            if position in again or _is_cut(one)
        ]
        scores = self._scores(sources, found, wrong, search.lenpen)
        return [_ranked(position, best, scores, search.beam) for position, best in enumerate(found)]

    def _search(self, sources: list[list[str]], search: Search, limits: dict[str, Any]) -> list[list[_Found]]:
        """The hypotheses that ended, and those that were cut at the limit, which lack the end symbol."""
        found = self._beams(sources, search, 1, limits)
        # At the limit CTranslate2 has up to twice as many hypotheses, and throws away those of lower scores, though
        # they ended and the others did not. A search of twice the patience goes the same way and keeps all.
        limited = [position for position, best in enumerate(found) if any(map(_is_cut, best))]
        if limited and search.beam > 1:
            beams = self._beams([sources[position] for position in limited], search, 2, limits)
            for position, best in zip(limited, beams, strict=True):
                found[position] = best
        return found

    def _beams(
        self, sources: list[list[str]], search: Search, patience: int, limits: dict[str, Any]
    ) -> list[list[_Found]]:
        results = self._loaded.translate_batch(
            sources,
            beam_size=search.beam,
            patience=patience,
            num_hypotheses=search.beam * patience,
            length_penalty=search.lenpen or _NEARLY_ZERO,
            max_input_length=0,
            return_scores=True,
            return_end_token=True,
            **limits,
        )
        return [list(zip(result.hypotheses, result.scores, strict=True)) for result in results]

    def _with_true_scores(
        self, sources: list[list[str]], found: list[list[_Found]], lenpen: float
    ) -> list[list[_Found]]:
        """Undo what forbidding an empty output did to the scores.

        fairseq forbids the end symbol of the first step after the softmax. CTranslate2 does so before it, which adds
        the same number, ``-log(1 - p)``, to the sums of all hypotheses of a sentence: the search goes the same way.
        """
        first = self._loaded.score_batch(sources, [[]] * len(sources), max_input_length=0)
        # In 16 bits a probability of 1 is possible.
        changes = [math.log(max(-math.expm1(result.log_probs[0]), 1e-9)) for result in first]
        return [
            [(units, score + change / len(units) ** lenpen) for units, score in best]
            for best, change in zip(found, changes, strict=True)
        ]

    def _scores(
        self, sources: list[list[str]], found: list[list[_Found]], wrong: list[tuple[int, int]], lenpen: float
    ) -> dict[tuple[int, int], float]:
        """The scores of some hypotheses from the probabilities of their units and of the end symbol."""
        if not wrong:
            return {}
        targets = [[unit for unit in found[position][rank][0] if unit != _END] for position, rank in wrong]
        results = self._loaded.score_batch(
            [sources[position] for position, _ in wrong], targets, max_input_length=0, max_batch_size=_SCORED
        )
        sums = [(sum(result.log_probs), len(result.log_probs)) for result in results]
        return {key: total / length**lenpen for key, (total, length) in zip(wrong, sums, strict=True)}


class CTranslate2Scorer(_Loaded):
    """Log-probabilities of a language model. May be used by several threads at once.

    Args:
        path, settings, device, threads: see :class:`CTranslate2Backend`.

    Raises:
        UserError: CTranslate2 is missing or cannot load the folder.
    """

    def __init__(self, path: str, settings: CTranslate2Settings, device: str = "cpu", threads: int | None = None):
        super().__init__("Generator", path, settings, device, threads)
        #: The longest text, in units without the end symbol.
        self.max_units = settings.max_input_length - len(settings.start)

    def score(self, texts: Sequence[str]) -> list[list[float]]:
        """See :class:`~fairseq_alone.inference.backend.Scorer`.

        Raises:
            UserError: a text is longer than the model's positions.
        """
        tokens = [_source_units(text) for text in texts]
        for number, units in enumerate(tokens, 1):
            if len(units) > self.max_units:
                raise UserError(
                    f"{self._path}: text {number} has {len(units)} units, and its positions end at {self.max_units}"
                )
        found = self._loaded.score_batch(
            [[*self._settings.start, *units, _END] for units in tokens], max_input_length=0, max_batch_size=_SCORED
        )
        # The second of two symbols at the start is no part of the text.
        return [list(result.log_probs)[len(self._settings.start) - 1 :] for result in found]


def _source_units(source: str) -> list[str]:
    # For fairseq the name that CTranslate2 gives to padding is a word like any other.
    return [_UNKNOWN if unit == PAD else unit for unit in source.split()]


def _is_cut(found: _Found) -> bool:
    return found[0][-1:] != [_END]


def _ranked(
    position: int, found: list[_Found], scores: dict[tuple[int, int], float], beam: int
) -> list[UnitHypothesis]:
    """The hypotheses of a sentence, best first: as fairseq, cut ones only where too few have ended."""
    rated = [(scores.get((position, rank), one[1]), one) for rank, one in enumerate(found)]
    rated.sort(key=lambda pair: -pair[0])
    # The first that ended come first, as long as there is room.
    ended = sorted((pair for pair in rated if not _is_cut(pair[1])), key=lambda pair: len(pair[1][0]))[:beam]
    cut = [pair for pair in rated if _is_cut(pair[1])][: beam - len(ended)]
    best = sorted(ended + cut, key=lambda pair: -pair[0])
    return [UnitHypothesis(_text(units), score) for score, (units, _) in best]


def _text(units: list[str]) -> str:
    # fairseq's dictionaries leave both symbols out, too.
    return " ".join(unit for unit in units if unit not in (_START, _END))
