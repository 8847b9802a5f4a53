"""A bundle as a trained model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.inference.compact_source import read_compact
from fairseq_alone.inference.manifest import LICENCE, MODEL, NAME, SUBWORDS, read_manifest
from fairseq_alone.inference.trained_model import TrainedModel


def read_bundle(path: str) -> TrainedModel:
    """Read a bundle, all of whose files are checked first.

    Raises:
        UserError: a file is missing, damaged, foreign or of a newer format; the sentence names it.
    """
    manifest = read_manifest(path)
    if MODEL not in manifest["files"]:
        raise UserError(f"{Path(path, NAME)}: names no {MODEL}, so this is no bundle of a model")
    trained = read_compact(str(Path(path, MODEL)))
    trained.path, trained.scores = path, manifest["scores"]
    subwords = SUBWORDS.get(trained.text.subwords)
    if subwords is not None and subwords in manifest["files"]:
        trained.text = replace(trained.text, subword_model=Path(path, subwords).read_bytes())
    if LICENCE in manifest["files"]:
        trained.licence = Path(path, LICENCE).read_text(encoding="utf-8")
    return trained
