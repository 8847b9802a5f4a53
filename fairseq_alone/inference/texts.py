"""One text or several, as a list."""

from __future__ import annotations

from collections.abc import Iterable


def as_list(texts: str | Iterable[str]) -> list[str]:
    """A list of the texts. Raises TypeError when one is no string."""
    if isinstance(texts, str):
        return [texts]
    found = list(texts)
    for position, text in enumerate(found):
        if not isinstance(text, str):
            raise TypeError(f"text {position + 1} must be a string, got {text!r}")
    return found
