"""``fairseq-alone prepare``: from text to ``data-bin``, in steps that are skipped when their outcome is there."""

import shutil
from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.recipes.interruption import explained
from fairseq_alone.recipes.preparation import Preparation
from fairseq_alone.recipes.prepare_options import PrepareOptions
from fairseq_alone.recipes.presets import OWN_PRESETS
from fairseq_alone.recipes.work_folder import check_settings, locked, write_settings

# What a step that was refused leaves behind.
_UNFINISHED = {".part", ".lock", ".log"}


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
