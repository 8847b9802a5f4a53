"""The package's own tools, called as from the command line but in this process."""

import argparse
import contextlib
import importlib
from pathlib import Path


def tool(name: str, *arguments: object) -> None:
    """Run ``fairseq-alone NAME ARGUMENTS``. Raises UserError as the tool does."""
    module = importlib.import_module(f"fairseq_alone.cli.{name.replace('-', '_')}")
    parser = argparse.ArgumentParser(prog=f"fairseq-alone {name}")
    module.add_arguments(parser)
    module.run(parser.parse_args([str(argument) for argument in arguments]))


def tool_into(file: Path, name: str, *arguments: object) -> None:
    """The same, with what it prints added to a file."""
    with open(file, "a", encoding="utf-8") as output, contextlib.redirect_stdout(output):
        tool(name, *arguments)
