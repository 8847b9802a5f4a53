"""``fairseq-alone generate``: headlines of the desired lengths."""

import argparse

from fairseq_alone.cli.recipe_arguments import add_cpu, add_work_and_run, take_flags_after_dashes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``generate``."""
    parser.usage = "fairseq-alone generate WORK RUN [flags] [-- FLAGS_OF_FAIRSEQ_GENERATE]"
    add_work_and_run(parser)
    parser.add_argument(
        "--lengths",
        nargs="+",
        metavar="N",
        help="in characters; 0 = that of the reference, free = none is asked for; default: 30 50 75, or free for a run "
        "without a length encoding",
    )
    parser.add_argument("--beam", metavar="N", help="beam size, and how many headlines are re-ranked; default: 20")
    parser.add_argument("--average", metavar="N", help="the last N checkpoints, one for each epoch; as the preset")
    parser.add_argument("--sentences", metavar="N", help="decoded at a time; default: 32")
    add_cpu(parser)
    take_flags_after_dashes(parser)


def run(args: argparse.Namespace) -> None:
    """Generate."""
    from fairseq_alone.recipes.generate_headlines import GenerateOptions, generate_headlines

    generate_headlines(args.work, args.name, GenerateOptions.of_arguments(args))
