"""What ``fairseq-alone report`` reads: checkpoints as they are, and whatever else ``open_model`` opens."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.cli.checkpoints import num_updates


@dataclass(frozen=True)
class ReportSource:
    """What is told of one path.

    Args:
        checkpoint: ``{"model": tensors by name, "cfg": {"model": settings}, ...}``, as a checkpoint has it.
        file_bytes: of the file; of a bundle all its files, of a run the checkpoint that is decoded with.
        model_bytes: the model's tensors as they stand in the file.
        updates: before the checkpoint was written; None where the file does not keep it.
    """

    checkpoint: dict[str, Any]
    file_bytes: int
    model_bytes: int
    updates: int | None


def read_report_source(path: str) -> ReportSource:
    """Read a checkpoint, a compact file, a bundle or a run.

    Raises:
        UserError: it is none of them, or damaged.
    """
    from fairseq_alone.inference.run_source import is_run, word_vectors_checkpoint

    path = word_vectors_checkpoint(path) or path
    if not os.path.isdir(path) and not _is_compact(path):
        return _of_checkpoint(path)
    from fairseq_alone.inference.manifest import MODEL
    from fairseq_alone.inference.opening import open_model
    from fairseq_alone.modules.compact_file import compact_bytes

    # Of a run this averages the last checkpoints, unless it was done.
    trained = open_model(path)
    if is_run(path):
        return _of_checkpoint(_decoded_with(Path(path)))
    compact, files = Path(path), [Path(path)]
    if compact.is_dir():
        compact, files = compact / MODEL, [file for file in compact.iterdir() if file.is_file()]
    sizes = compact_bytes(compact)
    return ReportSource(
        checkpoint={"model": dict(trained.model.state_dict()), "cfg": {"model": trained.config["model"]}},
        file_bytes=sum(file.stat().st_size for file in files),
        model_bytes=sum(sizes.values()) - sizes["metadata"],
        updates=None,
    )


def _is_compact(path: str) -> bool:
    from fairseq_alone.modules.compact_file import is_safetensors

    return os.path.isfile(path) and is_safetensors(path)


def _decoded_with(run: Path) -> str:
    averaged = run / "averaged.pt"
    return str(averaged if averaged.is_file() else run / "checkpoints" / "checkpoint_best.pt")


def _of_checkpoint(path: str) -> ReportSource:
    checkpoint = load_checkpoint(path)
    tensors = checkpoint["model"].values()
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return ReportSource(checkpoint, os.path.getsize(path), sum(storages.values()), num_updates(checkpoint))
