"""Files beside an exported model that are the same for several tools."""

from __future__ import annotations

from pathlib import Path

from fairseq_alone.export.stock_checkpoint import SUBWORD_FILES
from fairseq_alone.inference.trained_model import TrainedModel


def write_dictionaries(trained: TrainedModel, folder: Path) -> None:
    """``dict.LANG.txt`` of both languages, or ``dict.txt`` of a language model, as fairseq-preprocess names them."""
    if trained.source_dictionary is None:
        trained.target_dictionary.save(str(folder / "dict.txt"))
        return
    trained.source_dictionary.save(str(folder / f"dict.{trained.config['task']['source_lang']}.txt"))
    trained.target_dictionary.save(str(folder / f"dict.{trained.config['task']['target_lang']}.txt"))


def write_subwords(trained: TrainedModel, folder: Path) -> None:
    """The merges of subword-nmt as ``bpecodes``, or ``sentencepiece.bpe.model``; nothing if there are no subwords."""
    if trained.text.subword_model is not None:
        (folder / SUBWORD_FILES[trained.text.subwords]).write_bytes(trained.text.subword_model)
