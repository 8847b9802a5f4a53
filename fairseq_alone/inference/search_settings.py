"""How to decode: what a caller said, checked, and the model's own defaults for the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fairseq_alone.errors import SettingError
from fairseq_alone.inference.backend import Search
from fairseq_alone.inference.trained_model import Decoding


@dataclass(frozen=True)
class SearchSettings:
    """What a caller said; None is the model's default. The same names as the flags of ``fairseq-alone translate``.

    Args:
        beam: its size, at least 1.
        nbest: hypotheses of each text, from 1 to ``beam``; None is all of the beam.
        lenpen: exponent of the length penalty, finite.
        sentences: decoded at a time, at least 1.
        max_len_a: at least 0.
        max_len_b: at least 1: an output has at most ``max_len_a * (units of the source, end included) + max_len_b``.
        desired_length: units of the output, at least 1; for models with a length encoding.
    """

    beam: int | None = None
    nbest: int | None = None
    lenpen: float | None = None
    sentences: int | None = None
    max_len_a: float | None = None
    max_len_b: int | None = None
    desired_length: int | None = None

    def search(self, defaults: Decoding) -> Search:
        """All settings together.

        Raises:
            SettingError: one of them is out of its range; names it.
        """
        beam = _at_least_one("beam", self.beam, defaults.beam)
        nbest = _at_least_one("nbest", self.nbest, beam)
        if nbest > beam:
            raise SettingError("nbest", f"must not be greater than the beam, which is {beam}, got {nbest}")
        max_len_a = _number("max_len_a", self.max_len_a, defaults.max_len_a)
        if max_len_a < 0:
            raise SettingError("max_len_a", f"must not be negative, got {max_len_a}")
        return Search(
            beam=beam,
            lenpen=_number("lenpen", self.lenpen, defaults.lenpen),
            sentences=_at_least_one("sentences", self.sentences, defaults.sentences),
            max_len_a=max_len_a,
            max_len_b=_at_least_one("max_len_b", self.max_len_b, defaults.max_len_b),
            nbest=nbest,
            desired_length=None
            if self.desired_length is None
            else _at_least_one("desired_length", self.desired_length, 1),
        )


def _at_least_one(name: str, given: int | None, default: int) -> int:
    value = default if given is None else given
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SettingError(name, f"must be a whole number from 1, got {value!r}")
    return value


def _number(name: str, given: float | None, default: float) -> float:
    value = default if given is None else given
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise SettingError(name, f"must be a number, got {value!r}")
    return float(value)
