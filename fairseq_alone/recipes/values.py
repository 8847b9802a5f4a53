"""Numbers and choices that a user gave, checked: bad ones get a sentence with the name of the flag."""

import re

from fairseq_alone.errors import UserError


def positive(flag: str, value: str | int) -> int:
    """A whole number from 1. Raises UserError."""
    if not re.fullmatch(r"[1-9][0-9]*", str(value)):
        raise UserError(f"{flag} must be a positive whole number, got '{value}'")
    return int(value)


def whole(flag: str, value: str | int) -> int:
    """A whole number from 0. Raises UserError."""
    if not re.fullmatch(r"0|[1-9][0-9]*", str(value)):
        raise UserError(f"{flag} must be a whole number, got '{value}'")
    return int(value)


def decimal(flag: str, value: str | float) -> str:
    """A number that is not negative, as it was written: so it stands in the settings of a run. Raises UserError."""
    if not re.fullmatch(r"[0-9]*\.?[0-9]+", str(value)):
        raise UserError(f"{flag} must be a number like 0.5 and not negative, got '{value}'")
    return str(value)


def one_of(flag: str, value: str, choices: tuple[str, ...]) -> str:
    """One of some words. Raises UserError."""
    if value not in choices:
        raise UserError(f"{flag} must be {', '.join(choices[:-1])} or {choices[-1]}, got '{value}'")
    return value


def with_commas(number: int) -> str:
    """``1,234,567``."""
    return f"{number:,}"
