"""A checkpoint of fairseq-train and the folder of its binarised data, as a trained model."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import replace
from glob import escape, glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.errors import UserError
from fairseq_alone.inference.trained_model import (
    Decoding,
    Kind,
    TextSettings,
    TrainedModel,
    build_model,
    plain_config,
)

if TYPE_CHECKING:
    from fairseq.data import Dictionary

# What fairseq's names of splitters are here.
_SUBWORDS = {None: "none", "subword_nmt": "subword-nmt", "sentencepiece": "sentencepiece"}

KINDS: dict[str, Kind] = {
    "translation": "translation",
    "headline_generation": "headlines",
    "language_modeling": "language_model",
}


def read_checkpoint(
    path: str,
    data: str | None,
    text: TextSettings | None = None,
    decoding: Decoding | None = None,
    scores: dict[str, Any] | None = None,
) -> TrainedModel:
    """Read a checkpoint of this package or of stock fairseq.

    Args:
        path: the checkpoint.
        data: the folder with ``dict.LANG.txt``, or ``dict.txt`` for a language model; None is the folder that the
            checkpoint names, if it is still there.
        text: how text is split; None takes the languages from the checkpoint, and words, or subwords that are not known
            where the dictionary has such.
        decoding: defaults of the search.
        scores: what was measured of it.

    Raises:
        UserError: a file is missing or unreadable, or the dictionaries do not fit the model.
    """
    from fairseq_alone import plugin

    plugin.register()
    from fairseq_alone.models.pretrained import subwords_of

    checkpoint = load_checkpoint(path)
    cfg = checkpoint.get("cfg")
    if cfg is None:
        raise UserError(f"{path}: was written before fairseq 0.10; load and save it with a newer fairseq first")
    config = plain_config(cfg["model"], cfg["task"], cfg.get("criterion"))
    kind = KINDS.get(config["task"]["_name"])
    if kind is None:
        raise UserError(f"{path}: the task {config['task']['_name']} cannot be used here")
    data = data or data_of(path, cfg["task"])
    if kind != "language_model":
        _infer_languages(config["task"], data)
    source, target = read_dictionaries(path, config["task"], data, kind)
    model, task = build_model(path, config, checkpoint["model"], source, target)
    langs = (config["task"].get("source_lang"), config["task"].get("target_lang"))
    found = _SUBWORDS[subwords_of(source or target)]
    if text is None:
        text = TextSettings(subwords=found)
    elif text.tokenizer != "none" and text.subwords == "none":
        text = replace(text, subwords=found)
    if text.source_lang is None and kind != "language_model":
        tokenizer_lang = langs[0] if text.tokenizer == "moses" else None
        text = replace(text, source_lang=langs[0], target_lang=langs[1], tokenizer_lang=tokenizer_lang)
    return TrainedModel(path, kind, model, task, config, source, target, text, decoding or Decoding(), scores or {})


def read_dictionaries(
    path: str, task: dict[str, Any], data: str | None, kind: Kind
) -> tuple[Dictionary | None, Dictionary]:
    """The source and the target dictionary; the source's is None for a language model.

    Raises:
        UserError: the folder or a file in it is missing.
    """
    from fairseq.data import Dictionary

    if data is None or not os.path.isdir(data):
        where = f"there is no folder {data}" if data else "the checkpoint names no folder"
        raise UserError(f"{path}: where is its dictionary? {where}; give --data DATA_BIN")
    names = (
        ("dict.txt",)
        if kind == "language_model"
        else tuple(f"dict.{task.get(side)}.txt" for side in ("source_lang", "target_lang"))
    )
    for name in names:
        if not os.path.isfile(os.path.join(data, name)):
            raise UserError(f"{os.path.join(data, name)}: there is no such file; --data must be the binarised data")
    dictionaries = [Dictionary.load(str(Path(data, name))) for name in names]
    return (None, dictionaries[0]) if kind == "language_model" else (dictionaries[0], dictionaries[1])


def _infer_languages(task: dict[str, Any], data: str | None) -> None:
    """Fill in the languages, as fairseq does: it does not write down those that it has inferred itself."""
    from fairseq.data.data_utils import infer_language_pair

    if data and os.path.isdir(data) and None in (task.get("source_lang"), task.get("target_lang")):
        inferred = infer_language_pair(data)
        for side, lang in zip(("source_lang", "target_lang"), inferred, strict=True):
            task[side] = task.get(side) or lang


def data_of(path: str, task: Any) -> str | None:
    """The folder of the training, or that of the checkpoint where an export has put the dictionaries."""
    data = getattr(task, "data", None) if isinstance(task, Namespace) else task.get("data")
    folder = data.split(os.pathsep)[0] if data else None
    beside = os.path.dirname(os.path.abspath(path))
    return beside if not has_dictionaries(folder) and has_dictionaries(beside) else folder


def has_dictionaries(folder: str | None) -> bool:
    """Whether a folder is there and has a ``dict.*``."""
    return folder is not None and bool(glob(os.path.join(escape(folder), "dict.*")))
