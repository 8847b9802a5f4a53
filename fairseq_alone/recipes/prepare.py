"""``fairseq-alone prepare``: from text to ``data-bin``, in steps that are skipped when their outcome is there."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.recipes import fairseq_command
from fairseq_alone.recipes.interruption import explained
from fairseq_alone.recipes.prepare_options import PrepareOptions
from fairseq_alone.recipes.presets import OWN_PRESETS
from fairseq_alone.recipes.steps import SPLITS, count_lines, outcome, run_logged, say
from fairseq_alone.recipes.work_folder import check_settings, locked, write_settings

# What a step that was refused leaves behind.
_UNFINISHED = {".part", ".lock", ".log"}


@dataclass(frozen=True)
class Preparation:
    """The preparation of one folder.

    Args:
        settings: lines ``name=value`` of ``prepare.settings``.
        outcomes: names in the folder that must have been made with the same settings.
        steps: make what is missing in a folder; they call the second argument when bad data has been refused, which
            writes the settings.
        notes: what it would do, for ``--dry-run``.
    """

    settings: list[str]
    outcomes: tuple[str, ...]
    steps: Callable[[Path, Callable[[], None]], None]
    notes: list[str]


def plan_preparation(recipe: str, work: Path, options: PrepareOptions) -> Preparation:
    """Check everything but the text itself; nothing is written.

    Raises:
        UserError: bad input.
    """
    # Each recipe imports what the others do not need.
    if recipe == "headlines":
        from fairseq_alone.recipes.prepare_headlines import prepare_headlines as plan
    elif recipe == "language_model":
        from fairseq_alone.recipes.prepare_language_model import prepare_language_model as plan
    elif recipe == "word_vectors":
        from fairseq_alone.recipes.prepare_word_vectors import prepare_word_vectors as plan
    else:
        from fairseq_alone.recipes.prepare_translation import prepare_translation as plan
    options.require_known(recipe)
    return plan(work, options)


def prepare(recipe: str, work: Path | str, options: PrepareOptions, dry_run: bool = False) -> None:
    """Prepare a folder. A refusal leaves none behind where none was.

    Raises:
        UserError: bad input or data, or the folder was made with other settings or data; the sentence names them.
    """
    work = Path(work).absolute()
    plan = plan_preparation(recipe, work, options)
    if dry_run:
        check_settings(work, plan.settings, plan.outcomes)
        print("\n".join([*plan.notes, *plan.settings]))
        return

    is_new = not work.exists()
    with explained(lambda: f"{work} keeps the steps that are done; the same command goes on from there."):
        try:
            with locked(work):
                check_settings(work, plan.settings, plan.outcomes)
                plan.steps(work, lambda: write_settings(work, plan.settings))
                if options.presets and Path(options.presets).resolve() != (work / OWN_PRESETS).resolve():
                    shutil.copyfile(options.presets, work / OWN_PRESETS)
        except UserError:
            if is_new and all(path.suffix in _UNFINISHED for path in work.iterdir()):
                shutil.rmtree(work)
            raise


def binarise(work: Path, units: Path, source_lang: str, target_lang: str, workers: int) -> None:
    """Make ``data-bin`` of two sides, with one joined dictionary."""
    if (work / "data-bin").exists():
        return
    say("binarising with fairseq")
    with outcome(work / "data-bin") as part:
        prefixes = [word for split in SPLITS for word in (f"--{split}pref", str(units / split))]
        command = [*fairseq_command.fairseq_command("preprocess"), "--source-lang", source_lang, "--target-lang"]
        command += [target_lang, "--joined-dictionary", *prefixes, "--destdir", str(part), "--workers", str(workers)]
        run_logged(work / "prepare.data-bin.log", command)


def report(work: Path, units: Path, source_lang: str, target_lang: str, words: str) -> None:
    """Print what came out."""
    for folder in (work / "clean", units):
        if (folder / "report.txt").exists():
            print((folder / "report.txt").read_text(encoding="utf-8"), end="")
    for split in SPLITS:
        say(f"{split}: {count_lines(units / f'{split}.{source_lang}')} pairs")
    # fairseq adds <s>, <pad>, </s> and <unk>.
    entries = count_lines(work / "data-bin" / f"dict.{target_lang}.txt") + 4
    say(f"joined vocabulary: {entries} entries ({words})")
    say(f"ready: {work / 'data-bin'}")
