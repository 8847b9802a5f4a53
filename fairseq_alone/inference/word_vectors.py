"""The word vectors of a trained model: those that its encoder or decoder reads, or the rows of its output layer."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.corpus.vector_file import NamedVectors
from fairseq_alone.errors import UserError
from fairseq_alone.inference.checkpoint_source import KINDS, data_of
from fairseq_alone.inference.opening import Given, open_model
from fairseq_alone.inference.over_data import load_over_data
from fairseq_alone.inference.run_source import word_vectors_checkpoint
from fairseq_alone.inference.text_pipeline import TextPipeline
from fairseq_alone.inference.trained_model import TextSettings
from fairseq_alone.units import SPACE, split_characters

if TYPE_CHECKING:
    from fairseq.data import Dictionary

#: Which vectors a model may have.
EMBEDDINGS = ("encoder", "decoder", "output")

# Tasks whose checkpoints :func:`open_model` knows; fairseq itself builds the models of others.
_KNOWN_TASKS = (*KINDS, "truncated_bptt_lm")

# Entries that fairseq adds to make a dictionary's size a multiple of eight.
_PADDING = re.compile(r"madeupword\d{4}")


@dataclass(frozen=True)
class ModelVectors:
    """One embedding of a model.

    Args:
        path: of the model, for sentences.
        dictionary: V entries, fairseq's own symbols among them.
        matrix: (V, D), float32.
        text: how text is split into entries of the dictionary.
        characters: whether the entries are characters.
    """

    path: str
    dictionary: Dictionary
    matrix: np.ndarray
    text: TextSettings
    characters: bool

    def entries(self) -> NamedVectors:
        """The entries of the dictionary, in its order, without fairseq's own symbols: words, or pieces of words."""
        rows = [
            row
            for row in range(self.dictionary.nspecial, len(self.dictionary))
            if not _PADDING.fullmatch(self.dictionary[row])
        ]
        if not rows:
            raise UserError(f"{self.path}: its dictionary has no words")
        return NamedVectors([self.dictionary[row] for row in rows], self.matrix[rows])

    def of_words(self, words: Iterable[str]) -> tuple[NamedVectors, list[str]]:
        """Words by the mean of the vectors of their pieces.

        Args:
            words: as text has them, not split.

        Returns:
            The words whose pieces are all in the dictionary, and the others.

        Raises:
            UserError: how the model splits words is not known.
        """
        split = split_characters if self.characters else TextPipeline(self.text, self.path).encode
        known, rows, missing = [], [], []
        for word in dict.fromkeys(words):
            # The space ends a word of characters, too; alone it is none of its pieces.
            pieces = [] if SPACE in word else split(word).split()
            numbers = [self.dictionary.index(piece) for piece in pieces]
            if not numbers or self.dictionary.unk() in numbers:
                missing.append(word)
            else:
                known.append(word)
                rows.append(self.matrix[numbers].mean(0))
        return NamedVectors(known, np.array(rows, np.float32).reshape(len(rows), self.matrix.shape[1])), missing


@torch.no_grad()
def model_vectors(path: str, embedding: str, given: Given) -> ModelVectors:
    """Read one embedding of a trained model.

    Args:
        path: a checkpoint of this package or of stock fairseq, of any task whose model has such an embedding; or a
            run, a bundle or a compact file.
        embedding: ``"encoder"``, ``"decoder"``, or ``"output"``, the rows that features are multiplied by.
        given: what a checkpoint does not know of itself.

    Raises:
        UserError: the model cannot be read, or has no such embedding.
    """
    model, source, target, text = _opened(path, given)
    module = _MODULES[embedding](model)
    if module is None:
        others = [name for name in EMBEDDINGS if _MODULES[name](model) is not None]
        has = f"; it has {' and '.join(others)}" if others else ""
        raise UserError(f"--embedding {embedding}: {path} has no vectors of words there{has}")
    matrix: torch.Tensor = module.weight
    dictionary = source if embedding == "encoder" else target
    if dictionary is None or len(matrix) != len(dictionary):
        size = "none" if dictionary is None else f"one of {len(dictionary)}"
        raise UserError(f"{path}: has {len(matrix)} vectors, but its dictionary is {size}")
    characters = embedding != "encoder" and text.target_units == "characters"
    return ModelVectors(path, dictionary, matrix.detach().float().cpu().numpy(), text, characters)


def _opened(path: str, given: Given) -> tuple[Any, Dictionary | None, Dictionary | None, TextSettings]:
    path = word_vectors_checkpoint(path) or path
    task = _task_of(path)
    if task is None or _name(task) in _KNOWN_TASKS:
        trained = open_model(path, given)
        return trained.model, trained.source_dictionary, trained.target_dictionary, trained.text
    data = given.data or data_of(path, task)
    if data is None or not os.path.isdir(data):
        where = f"there is no folder {data}" if data else "the checkpoint names no folder"
        raise UserError(f"{path}: where is its dictionary? {where}; give --data DATA_BIN")
    try:
        model, built = load_over_data(path, data)
    except FileNotFoundError as error:
        raise UserError(
            f"{error.filename or error}: there is no such file; --data must be the binarised data"
        ) from error
    return model, built.source_dictionary, built.target_dictionary, given.text or TextSettings()


def _task_of(path: str) -> Any:
    """The task's settings in a checkpoint; None for a path that is no checkpoint, or one of an old fairseq."""
    from fairseq_alone.modules.compact_file import is_safetensors

    if not os.path.isfile(path) or is_safetensors(path):
        return None
    cfg = load_checkpoint(path, mmap=True).get("cfg")
    return None if cfg is None else cfg["task"]


def _name(task: Any) -> str | None:
    return getattr(task, "_name", None) if isinstance(task, Namespace) else task.get("_name")


def _encoder(model: Any) -> Any:
    encoder = getattr(model, "encoder", None)
    # Of fairseq's masked language models.
    return getattr(getattr(encoder, "sentence_encoder", encoder), "embed_tokens", None)


def _decoder(model: Any) -> Any:
    return getattr(getattr(model, "decoder", None), "embed_tokens", None)


def _output(model: Any) -> Any:
    from fairseq_alone.modules import HierarchicalSoftmax

    decoder = getattr(model, "decoder", None)
    if getattr(decoder, "adaptive_softmax", None) is not None:
        return None
    # fairseq's own LSTM calls it otherwise, and has none where it reads the input's table.
    layer = getattr(decoder, "output_projection", None) or getattr(decoder, "fc_out", None)
    if layer is None and getattr(decoder, "share_input_output_embed", False):
        return _decoder(model)
    return None if isinstance(layer, HierarchicalSoftmax) else layer


# For each embedding the module whose ``weight`` (V, D), stored or computed, has the vectors; None where there is none.
_MODULES: dict[str, Callable[[Any], Any]] = {"encoder": _encoder, "decoder": _decoder, "output": _output}
