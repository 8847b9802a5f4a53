"""The formats that ``fairseq-alone export`` writes. A new one is a module of this folder and a line here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from fairseq_alone.inference.backend import Backend, Scorer
from fairseq_alone.inference.trained_model import TrainedModel

#: Each target, its module, and what it is in one line.
TARGETS = {
    "fairseq": ("fairseq_export", "a checkpoint and dictionaries for stock fairseq, without this package"),
    "ctranslate2": ("ctranslate2_export", "a folder for CTranslate2, the fastest on a CPU"),
    "huggingface": ("huggingface_export", "a folder for Hugging Face's transformers (FSMT)"),
    "compact": ("compact_export", "one small file: trained tensors only, in fp32, fp16, int8 or int4"),
    "torchscript": ("torchscript_export", "a TorchScript file of the network"),
}


@dataclass(frozen=True)
class ExportOptions:
    """The flags of ``fairseq-alone export``; None where a flag was not given.

    Args:
        quantization: the type of the numbers; each target has its own names.
        embedding_quantization: that of the embedding alone (compact).
        max_input_length: cut the stored positions to so many units (ctranslate2).
    """

    quantization: str | None = None
    embedding_quantization: str | None = None
    max_input_length: int | None = None


class Target(Protocol):
    """What a module of a target offers."""

    #: The flags of :class:`ExportOptions` that it knows, by name.
    OPTIONS: tuple[str, ...]

    #: Whether it writes one file instead of a folder.
    IS_FILE: bool

    def write(self, trained: TrainedModel, output: Path, options: ExportOptions) -> None:
        """Write the files: into the folder ``output``, which is there and empty, or the file ``output``.

        Raises:
            UserError: the format cannot hold this model, a library is missing, or an option is out of its range.
        """

    def open_backend(self, trained: TrainedModel, output: Path) -> Backend:
        """What was written, as something that translates; ``trained`` gives the dictionaries."""

    def open_scorer(self, trained: TrainedModel, output: Path) -> Scorer:
        """What was written, as something that scores text, for language models."""


def target_of(name: str) -> Target:
    """The module of a target, imported now."""
    return cast(Target, importlib.import_module(f"fairseq_alone.export.{TARGETS[name][0]}"))
