"""The sentences of a user, to verify an export with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairseq_alone.errors import UserError
from fairseq_alone.export.verification import longest_input
from fairseq_alone.inference.text_pipeline import TextPipeline
from fairseq_alone.text_files import clean_lines

if TYPE_CHECKING:
    from fairseq_alone.inference.trained_model import TrainedModel


def read_sentences(path: str, trained: TrainedModel) -> list[str]:
    """The lines of a file of raw text as the model's units, without empty lines.

    Raises:
        UserError: it cannot be read, has no text, or has a line that is too long for the model.
    """
    longest = longest_input(trained)
    pipeline = TextPipeline(trained.text, trained.path)
    found = []
    for number, line in enumerate(clean_lines(path), start=1):
        units = pipeline.encode(line)
        if len(units.split()) > longest:
            raise UserError(
                f"{path}, line {number}: has {len(units.split())} units, and the model takes {longest} at most"
            )
        if units:
            found.append(units)
    if not found:
        raise UserError(f"{path}: has no text")
    return found
