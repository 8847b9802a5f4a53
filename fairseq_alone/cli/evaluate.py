"""``fairseq-alone evaluate``: score a run of a recipe."""

import argparse

from fairseq_alone.cli.recipe_arguments import add_cpu, add_work_and_run, take_flags_after_dashes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``evaluate``."""
    parser.usage = "fairseq-alone evaluate WORK RUN [flags] [-- FLAGS_OF_FAIRSEQ_GENERATE]"
    add_work_and_run(parser)
    add_cpu(parser)
    translation = parser.add_argument_group("translation")
    translation.add_argument("--average", metavar="N", help="the last N checkpoints, one for each epoch; as the preset")
    translation.add_argument("--beam", metavar="N", help="beam size; default: 4")
    translation.add_argument("--lenpen", metavar="X", help="exponent of the length penalty; default: 0.6")
    translation.add_argument("--sentences", metavar="N", help="translated at a time; default: 64")
    headlines = parser.add_argument_group("headlines")
    headlines.add_argument("--lengths", nargs="+", metavar="N", help="default: all that generate has done")
    headlines.add_argument("--bytes", metavar="N", help="of headlines and references that ROUGE sees; 0 = all; 75")
    headlines.add_argument("--json", action="store_true", default=None, help="print JSON instead of the table")
    language_model = parser.add_argument_group("language_model")
    language_model.add_argument("--context", metavar="N", help="words between two cuts of the text; default: 2000")
    word_vectors = parser.add_argument_group("word_vectors")
    word_vectors.add_argument("--pairs", nargs="+", metavar="FILE", help="scored pairs, a line 'WORD WORD SCORE'")
    take_flags_after_dashes(parser)


def run(args: argparse.Namespace) -> None:
    """Evaluate."""
    from fairseq_alone.recipes.evaluate import evaluate
    from fairseq_alone.recipes.evaluate_options import EvaluateOptions

    evaluate(args.work, args.name, EvaluateOptions.of_arguments(args))
