"""What a path holds: a run of a recipe, a bundle, a compact file or a checkpoint, each read as a trained model."""

from __future__ import annotations

import os
from dataclasses import dataclass

from fairseq_alone.errors import UserError
from fairseq_alone.inference.ctranslate2_folder import is_ctranslate2_folder
from fairseq_alone.inference.manifest import is_bundle
from fairseq_alone.inference.trained_model import Decoding, TextSettings, TrainedModel


@dataclass(frozen=True)
class Given:
    """What a user says about a checkpoint, which does not know it itself.

    Args:
        data: the folder of the binarised data.
        text: how text is split.
        decoding: defaults of the search.
    """

    data: str | None = None
    text: TextSettings | None = None
    decoding: Decoding | None = None

    def refuse(self, path: str) -> None:
        """Raise UserError when anything was said about what knows it itself."""
        if self.text is not None:
            flags = "--bpe-codes, --sentencepiece, --moses and --split"
            raise UserError(f"{path}: knows how its text is split; leave out {flags}")
        if self.data is not None:
            raise UserError(f"{path}: knows its dictionaries; leave out --data")


def open_model(path: str, given: Given | None = None) -> TrainedModel:
    """Read what a path holds.

    Args:
        path: a folder WORK/runs/RUN, a bundle, a compact file (``.safetensors``) or a checkpoint (``.pt``).
        given: for a checkpoint.

    Raises:
        UserError: it holds none of them, is damaged, or something is missing.
    """
    # Each imports what it needs: a folder for CTranslate2 needs none of it.
    from fairseq_alone.inference.bundle_source import read_bundle
    from fairseq_alone.inference.checkpoint_source import read_checkpoint
    from fairseq_alone.inference.compact_source import read_compact
    from fairseq_alone.inference.run_source import is_run, read_checkpoint_of_run, read_run, work_of
    from fairseq_alone.modules.compact_file import is_safetensors

    given = given or Given()
    if is_run(path) or is_bundle(path):
        given.refuse(path)
    if is_run(path):
        return read_run(path)
    if is_bundle(path):
        return read_bundle(path)
    if os.path.isfile(path) and is_safetensors(path):
        return read_compact(path, given.text)
    work = work_of(path) if os.path.isfile(path) and given == Given() else None
    if work is not None:
        return read_checkpoint_of_run(path, work)
    if os.path.isfile(path):
        return read_checkpoint(path, given.data, given.text, given.decoding)
    if not os.path.exists(path):
        raise UserError(f"{path}: there is no such file or folder")
    if is_ctranslate2_folder(path):
        raise UserError(f"{path}: is for CTranslate2, whose tensors go back into no model; give what it was made from")
    raise UserError(f"{path}: is no run of a recipe (WORK/runs/RUN), no bundle, no compact file and no checkpoint")
