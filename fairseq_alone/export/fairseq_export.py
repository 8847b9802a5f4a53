"""``--to fairseq``: a folder with a checkpoint, dictionaries and subwords for stock fairseq, without this package."""

from __future__ import annotations

from pathlib import Path

import torch

from fairseq_alone.export.folder import write_dictionaries, write_subwords
from fairseq_alone.export.stock import stock_model
from fairseq_alone.export.stock_checkpoint import stock_checkpoint
from fairseq_alone.export.stock_commands import readme
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.inference.backend import Backend, Scorer
from fairseq_alone.inference.checkpoint_source import read_checkpoint
from fairseq_alone.inference.fairseq_backend import FairseqBackend
from fairseq_alone.inference.fairseq_scorer import FairseqScorer
from fairseq_alone.inference.trained_model import TrainedModel
from fairseq_alone.text_files import write_text

OPTIONS: tuple[str, ...] = ()
IS_FILE = False


def write(trained: TrainedModel, output: Path, options: ExportOptions) -> None:
    """Write ``model.pt``, the dictionaries, the subwords if there are any, and a README with the commands.

    Raises:
        UserError: the model has a length encoding, or is of a network that stock fairseq does not have.
    """
    checkpoint = stock_checkpoint(trained, stock_model(trained))
    # torch.save names the archive inside after the file; given an open file, equal models give equal bytes.
    with open(output / "model.pt", "wb") as file:
        torch.save(checkpoint, file)
    write_dictionaries(trained, output)
    write_subwords(trained, output)
    write_text(str(output / "README.md"), readme(trained))


def open_backend(trained: TrainedModel, output: Path) -> Backend:
    """The checkpoint that was written, with fairseq's own Transformer."""
    return FairseqBackend(_read(trained, output))


def open_scorer(trained: TrainedModel, output: Path) -> Scorer:
    """The checkpoint that was written, with fairseq's own language model."""
    return FairseqScorer(_read(trained, output))


def _read(trained: TrainedModel, output: Path) -> TrainedModel:
    return read_checkpoint(str(output / "model.pt"), str(output), trained.text, trained.decoding)
