"""A compact file as a trained model."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fairseq_alone.errors import UserError
from fairseq_alone.inference.trained_model import Decoding, TextSettings, TrainedModel, build_model
from fairseq_alone.modules.compact_file import read_compact_file

if TYPE_CHECKING:
    from fairseq.data import Dictionary


def read_compact(path: str, text: TextSettings | None = None) -> TrainedModel:
    """Read a compact file.

    Args:
        path: the file.
        text: gives the subword model, which the file does not have; all else about the text is in the file.

    Raises:
        UserError: the file is damaged, foreign or of a newer format, or the subword model is of another kind.
    """
    contents = read_compact_file(path)
    metadata = contents.metadata
    source = target = _dictionary(metadata["target_dictionary"])
    if metadata["kind"] == "language_model":
        source = None
    elif "source_dictionary" in metadata:  # else both languages share the one
        source = _dictionary(metadata["source_dictionary"])
    config = json.loads(metadata["config"])
    model, task = build_model(path, config, contents.state_dict, source, target)
    decoding = Decoding(**json.loads(metadata["decoding"]))
    settings = _text(path, json.loads(metadata["text"]), text)
    kind: Any = metadata["kind"]
    rounded = tuple(json.loads(metadata["rounded"]))
    return TrainedModel(path, kind, model, task, config, source, target, settings, decoding, rounded=rounded)


def _dictionary(text: str) -> Dictionary:
    from fairseq.data import Dictionary

    dictionary = Dictionary()
    # Only a line feed ends a line here, as in a file that fairseq writes.
    dictionary.add_from_file(io.StringIO(text, newline="\n"))
    return dictionary


def _text(path: str, settings: dict, given: TextSettings | None) -> TextSettings:
    text = TextSettings(**{**settings, "whole": tuple(settings["whole"])})
    if given == TextSettings():
        # Text that is split already.
        return replace(text, tokenizer="none", subwords="none", target_units="subwords", headline_text=False)
    if given is None or given.subword_model is None:
        return text
    if given.subwords != text.subwords:
        raise UserError(f"{path}: its subwords are {text.subwords}, but the model of {given.subwords} was given")
    return replace(text, subword_model=given.subword_model)
