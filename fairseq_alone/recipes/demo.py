"""``fairseq-alone demo``: the translation recipe in miniature, without a download.

A table and an ALONE embedding of half its size are trained side by side, one core each, evaluated and compared.
"""

import os
from pathlib import Path

from fairseq_alone.recipes.evaluate import evaluate
from fairseq_alone.recipes.evaluate_options import EvaluateOptions
from fairseq_alone.recipes.execute import execute
from fairseq_alone.recipes.prepare import prepare
from fairseq_alone.recipes.prepare_options import PrepareOptions
from fairseq_alone.recipes.steps import say
from fairseq_alone.recipes.tools import tool
from fairseq_alone.recipes.train import plan_training
from fairseq_alone.recipes.train_options import TrainOptions

MODELS = ("conventional", "alone_share")


def demo(work: Path) -> None:
    """Everything in one folder; what is done is skipped.

    Raises:
        UserError: a step failed.
    """
    work = work.absolute()
    prepare("translation", work, PrepareOptions(preset="demo"))
    # One process and one thread for each model: with more, they would only wait for each other.
    os.environ["OMP_NUM_THREADS"] = "1"
    plans = [plan_training(work, model, TrainOptions(embedding=model, workers="1")) for model in MODELS]
    missing = [plan for plan in plans if plan]
    if missing:
        say(f"training {' and '.join(plan.run.name for plan in missing)} in {work}/runs")
        execute(missing)
    for model in MODELS:
        say(f"evaluating {model}")
        evaluate(work, model, EvaluateOptions())
    print()
    tool("compare", *(work / "runs" / model for model in MODELS), "--examples", 3, "--output", work / "result.md")
    say(f"\nthis table is in {work / 'result.md'} too")
