"""The five language models of the recipe's table, one after the other: by the names of Inan et al. (2017).

=========  =========================================================
baseline   two tables, cross-entropy
al         two tables, augmented loss
re         one table for input and output
real       one table, augmented loss
alone_re   ALONE in place of the one table, cross-entropy
=========  =========================================================
"""

import dataclasses
from pathlib import Path

from fairseq_alone.recipes.evaluate import evaluate
from fairseq_alone.recipes.evaluate_options import EvaluateOptions
from fairseq_alone.recipes.execute import execute
from fairseq_alone.recipes.prepare import prepare
from fairseq_alone.recipes.prepare_options import PrepareOptions
from fairseq_alone.recipes.tools import tool
from fairseq_alone.recipes.train import plan_training
from fairseq_alone.recipes.train_options import TrainOptions

# By run: embedding, tying, whether with the augmented loss; in the order of training.
MODELS = {
    "baseline": ("conventional", "none", False),
    "real": ("conventional", "decoder", True),
    "re": ("conventional", "decoder", False),
    "al": ("conventional", "none", True),
    "alone_re": ("alone", "decoder", False),
}
_ROWS = ("baseline", "al", "re", "real", "alone_re")


def five_language_models(work: Path, corpus: str, options: TrainOptions, weight: str = "0.5") -> None:
    """Prepare, train, evaluate, plot and compare; what is done is skipped.

    Args:
        options: of every training; embedding, tying and loss do not count.
        weight: of the augmented loss.

    Raises:
        UserError: a step failed.
    """
    prepare("language_model", work, PrepareOptions(corpus=(corpus,)))
    for name, (embedding, tie, augmented) in MODELS.items():
        loss = weight if augmented else "0"
        chosen = dataclasses.replace(options, embedding=embedding, tie=tie, augmented_loss=loss)
        plan = plan_training(work, name, chosen)
        if plan:
            execute([plan])
        evaluate(work, name, EvaluateOptions(cpu=options.cpu))
    runs = [Path(work) / "runs" / name for name in _ROWS]
    tool("plot", *runs, "--x", "epochs", "--y", "ppl", "--output", Path(work) / "perplexity.png")
    tool("compare", *runs)
