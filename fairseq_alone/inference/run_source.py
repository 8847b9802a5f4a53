"""A run of a recipe, WORK/runs/RUN, as a trained model: what ``evaluate`` scored, text and dictionaries included."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.errors import UserError
from fairseq_alone.inference.checkpoint_source import read_checkpoint
from fairseq_alone.inference.trained_model import Decoding, TextSettings, TrainedModel
from fairseq_alone.recipes.decode import choose_checkpoints, tell_fewer
from fairseq_alone.recipes.run_folder import RunFolder
from fairseq_alone.recipes.tools import tool
from fairseq_alone.recipes.values import positive
from fairseq_alone.recipes.work_folder import WORD_VECTORS, WorkFolder, open_work


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
    if work.recipe == WORD_VECTORS:
        raise UserError(
            f"{path} has word vectors, and no model of text: fairseq-alone vectors writes them, evaluate measures them"
        )
    if work.recipe == "language_model":
        checkpoint, scores = _best(run), _scores(run)
    else:
        checkpoint, scores = _averaged(work, run)
    return _read(work, checkpoint, scores)


def word_vectors_checkpoint(path: str) -> str | None:
    """The last checkpoint of a run of the recipe for word vectors; None for any other path."""
    if not is_run(path):
        return None
    folder = Path(path).resolve()
    work = open_work(folder.parent.parent)
    return str(RunFolder(work.path, folder.name).last_checkpoint) if work.recipe == WORD_VECTORS else None


def work_of(checkpoint: str) -> WorkFolder | None:
    """The prepared folder of the recipe that trained a checkpoint, if it lies in one of its runs."""
    # WORK/runs/RUN/averaged.pt or WORK/runs/RUN/checkpoints/NAME.pt
    folders = [folder for folder in Path(checkpoint).resolve().parents[:2] if is_run(str(folder))]
    return open_work(folders[0].parent.parent) if folders else None


def read_checkpoint_of_run(path: str, work: WorkFolder) -> TrainedModel:
    """One checkpoint of a run: the text and the search are the recipe's, and nothing was measured of it."""
    return _read(work, Path(path), {})


def _read(work: WorkFolder, checkpoint: Path, scores: dict[str, Any]) -> TrainedModel:
    data = str(work.path / "data-bin")
    return read_checkpoint(str(checkpoint), data, text_settings(work), _decoding(work), scores)


def _best(run: RunFolder) -> Path:
    best = run.checkpoints / "checkpoint_best.pt"
    if not best.is_file():
        raise UserError(f"{best} is missing; run fairseq-alone train first")
    return best


def _averaged(work: WorkFolder, run: RunFolder) -> tuple[Path, dict[str, Any]]:
    """What ``evaluate`` made and measured, or the mean made now where there is none of the last checkpoints."""
    averaged = run.path / "averaged.pt"
    # Not by the times of the files, which a copy of the folder does not keep.
    if averaged.is_file() and _updates(averaged) == _updates(run.last_checkpoint):
        return averaged, _scores(run)
    # Standard output is for translations.
    with contextlib.redirect_stdout(sys.stderr):
        wanted = positive("--average", work.preset()["checkpoints"])
        chosen = choose_checkpoints(run, wanted)
        tell_fewer(chosen, wanted)
        print(f"averaging the last {len(chosen)} checkpoints of {run.path}")
    tool("average", *chosen, "--output", averaged, "--quiet")
    return averaged, {}


def _updates(checkpoint: Path) -> int:
    state = load_checkpoint(str(checkpoint), mmap=True)
    return int(state["optimizer_history"][-1]["num_updates"])


def _scores(run: RunFolder) -> dict[str, Any]:
    scores = run.path / "scores.json"
    # What was measured in the middle of a training may be of other checkpoints.
    if not scores.is_file() or not run.is_done:
        return {}
    found: dict[str, Any] = json.loads(scores.read_text(encoding="utf-8"))
    return found


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
