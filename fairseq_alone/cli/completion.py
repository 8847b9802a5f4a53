"""``fairseq-alone completion``: a script that lets the shell complete commands, flags, choices and file names.

The script is written once, so pressing the tab key starts no Python.
"""

import argparse

SHELLS = ("bash", "zsh", "tcsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The shell."""
    parser.add_argument(
        "shell", choices=SHELLS, help='bash, for example: put eval "$(fairseq-alone completion bash)" into ~/.bashrc'
    )


def run(args: argparse.Namespace) -> None:
    """Print the script."""
    import shtab

    from fairseq_alone.cli import build_parser

    parser = build_parser()
    (subparsers,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for subparser in subparsers.choices.values():
        for action in subparser._actions:
            # Free text is a file or a folder nearly everywhere here.
            if action.nargs != 0 and action.choices is None and action.type is None:
                action.complete = shtab.FILE
    print(shtab.complete(parser, args.shell))
