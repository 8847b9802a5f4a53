"""What a model writes for one text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """One translation or headline.

    Args:
        text: running text.
        score: what the search ranks by: the log-probability in nats, divided by ``length ** lenpen``. fairseq-generate
            prints the same number in bits: divided by ``log(2)``.
        units: the model's own subwords or characters, with a space between.
    """

    text: str
    score: float
    units: str
