"""``fairseq-alone evaluate``: score a run, each recipe in its way."""

from pathlib import Path

from fairseq_alone.recipes.evaluate_options import EvaluateOptions
from fairseq_alone.recipes.interruption import explained
from fairseq_alone.recipes.run_folder import RunFolder
from fairseq_alone.recipes.work_folder import open_work


def evaluate(work: Path | str, name: str, options: EvaluateOptions) -> None:
    """Score a run; does nothing when nothing changed since the last time.

    Raises:
        UserError: bad input, there is no checkpoint, or a command failed.
    """
    folder = open_work(work)
    options.require_known(folder.recipe)
    run = RunFolder(folder.path, name)
    if folder.recipe == "headlines":
        from fairseq_alone.recipes.evaluate_headlines import evaluate_headlines as score
    elif folder.recipe == "language_model":
        from fairseq_alone.recipes.evaluate_language_model import evaluate_language_model as score
    elif folder.recipe == "word_vectors":
        from fairseq_alone.recipes.evaluate_word_vectors import evaluate_word_vectors as score
    else:
        from fairseq_alone.recipes.evaluate_translation import evaluate_translation as score
    with explained(lambda: f"{run.path} has no scores now; the same command begins anew."):
        score(folder, run, options)
