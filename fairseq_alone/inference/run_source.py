"""A run of a recipe, WORK/runs/RUN, as a trained model: what ``evaluate`` scored, text and dictionaries included."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from fairseq_alone.errors import UserError
from fairseq_alone.inference.checkpoint_source import read_checkpoint
from fairseq_alone.inference.trained_model import Decoding, TextSettings, TrainedModel
from fairseq_alone.recipes.decode import average, choose_checkpoints
from fairseq_alone.recipes.run_folder import RunFolder
from fairseq_alone.recipes.values import positive
from fairseq_alone.recipes.work_folder import WorkFolder, open_work


def is_run(path: str) -> bool:
    """Whether this is a folder WORK/runs/RUN of a recipe."""
    folder = Path(path).resolve()
    return folder.parent.name == "runs" and (folder.parent.parent / "prepare.settings").is_file()


def read_run(path: str) -> TrainedModel:
    """Read the model that ``evaluate`` scores: the mean of the last checkpoints, of a language model the best one.

    Raises:
        UserError: there is no checkpoint, or a file of the recipe is missing.
    """
    folder = Path(path).resolve()
    work = open_work(folder.parent.parent)
    run = RunFolder(work.path, folder.name)
    run.require_trained()
    checkpoint = _best(run) if work.recipe == "language_model" else _averaged(work, run)
    scores, data = _scores(run, checkpoint), str(work.path / "data-bin")
    return read_checkpoint(str(checkpoint), data, text_settings(work), _decoding(work), scores)


def _best(run: RunFolder) -> Path:
    best = run.checkpoints / "checkpoint_best.pt"
    if not best.is_file():
        raise UserError(f"{best} is missing; run fairseq-alone train first")
    return best


def _averaged(work: WorkFolder, run: RunFolder) -> Path:
    """What ``evaluate`` made, or the same made now where there is none of the last checkpoints."""
    averaged = run.path / "averaged.pt"
    if not averaged.is_file() or _is_newer(run.last_checkpoint, averaged):
        count = positive("--average", work.preset()["checkpoints"])
        # Standard output is for translations.
        with contextlib.redirect_stdout(sys.stderr):
            average(run, choose_checkpoints(run, count))
    return averaged


def _scores(run: RunFolder, checkpoint: Path) -> dict[str, Any]:
    """scores.json, unless the checkpoint is newer than it."""
    scores = run.path / "scores.json"
    if not scores.is_file() or _is_newer(checkpoint, scores):
        return {}
    found: dict[str, Any] = json.loads(scores.read_text(encoding="utf-8"))
    return found


def _is_newer(first: Path, second: Path) -> bool:
    return first.stat().st_mtime_ns > second.stat().st_mtime_ns


def text_settings(work: WorkFolder) -> TextSettings:
    """How the recipe split the text of a prepared folder. Raises UserError when its codes are missing."""
    if work.recipe == "language_model":
        return TextSettings()
    characters = work.settings.get("TARGET_UNITS") == "characters"
    sentencepiece = work.settings.get("SUBWORDS", work.settings.get("TARGET_UNITS")) == "sentencepiece"
    work.require("sentencepiece.model" if sentencepiece else "codes")
    headlines = work.recipe == "headlines"
    moses = not sentencepiece and work.settings.get("FORM") != "namas"
    return TextSettings(
        source_lang=work.source_lang,
        target_lang=work.target_lang,
        tokenizer="moses" if moses else "none",
        tokenizer_lang=("en" if headlines else work.source_lang) if moses else None,
        subwords="sentencepiece" if sentencepiece else "subword-nmt",
        subword_model=(work.path / ("sentencepiece.model" if sentencepiece else "codes")).read_bytes(),
        whole=("<unk>",) if headlines and not sentencepiece else (),
        target_units="characters" if characters else "subwords",
        headline_text=headlines,
        lowercase=headlines and work.settings.get("LOWERCASE") == "1",
    )


def _decoding(work: WorkFolder) -> Decoding:
    if work.recipe == "language_model":
        return Decoding()
    preset = work.preset()
    settings: dict[str, Any] = {"beam": int(preset["beam"]), "sentences": int(preset["sentences"])}
    if work.recipe == "translation":
        settings["lenpen"] = float(preset["lenpen"])
    return Decoding(**settings)
