"""``fairseq-alone language-models``: the five models of the language model recipe's table."""

import argparse
from pathlib import Path

from fairseq_alone.cli.recipe_arguments import add_cpu, take_flags_after_dashes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``language-models``."""
    parser.usage = "fairseq-alone language-models WORK CORPUS [flags] [-- FLAGS_OF_FAIRSEQ_TRAIN]"
    parser.add_argument("work", metavar="WORK", help="folder for everything")
    parser.add_argument("corpus", metavar="CORPUS", help="folder with train.txt, valid.txt and test.txt")
    parser.add_argument("--preset", metavar="NAME", help="small, papers, medium or large; default: small")
    parser.add_argument("--weight", metavar="W", default="0.5", help="of the augmented loss; default: 0.5")
    parser.add_argument("--temperature", metavar="T", help="of the augmented loss; default: 10")
    parser.add_argument("--inter-dim", metavar="N", help="D_inter of ALONE; as the preset")
    parser.add_argument("--max-epoch", metavar="N", help="epochs; as the preset")
    parser.add_argument("--seed", metavar="N", default="1", help="default: 1")
    add_cpu(parser)
    take_flags_after_dashes(parser)


def run(args: argparse.Namespace) -> None:
    """Do all of it."""
    from fairseq_alone.recipes.five_language_models import five_language_models
    from fairseq_alone.recipes.train_options import TrainOptions

    names = ("preset", "temperature", "inter_dim", "max_epoch", "seed", "cpu", "flags")
    options = TrainOptions(**{name: getattr(args, name) for name in names})
    five_language_models(Path(args.work), args.corpus, options, args.weight)
