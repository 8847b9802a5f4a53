"""Flags of a family from one dataclass: what a flag takes, its default and its help stand in one place."""

from argparse import ArgumentParser, Namespace
from dataclasses import MISSING, field, fields
from typing import Any

from fairseq.dataclass import FairseqDataclass
from fairseq.dataclass.utils import gen_parser_from_dataclass


def flag(
    default: Any,
    help: str,
    metavar: str | None = None,
    choices: tuple[str, ...] | None = None,
    training_only: bool = False,
) -> Any:
    """A field of a family's dataclass.

    Args:
        default: without the flag; an architecture may have another one.
        help: one sentence.
        metavar: what stands for the value in the help.
        choices: the values that the flag takes, if it does not take all.
        training_only: whether checkpoints that differ in it belong together all the same.
    """
    metadata = {"help": help, "metavar": metavar, "choices": choices, "training_only": training_only}
    return field(default=default, metadata=metadata)


def add_flags(parser: ArgumentParser, flags: FairseqDataclass) -> None:
    """Add one flag for each field, without defaults: :func:`fill_in` gives them."""
    actions = len(parser._actions)
    gen_parser_from_dataclass(parser, flags, delete_default=True)
    described = {field.name: field.metadata for field in fields(flags)}
    for action in parser._actions[actions:]:
        metadata = described[action.dest]
        # fairseq knows neither of the two, and a switch takes no value.
        if action.nargs != 0:
            action.metavar, action.choices = metadata["metavar"], metadata["choices"]


def fill_in(args: Namespace, flags: type[FairseqDataclass], **defaults: Any) -> None:
    """Give the flags that were not given their defaults.

    Args:
        args: the flags of a model, changed in place.
        flags: the dataclass.
        defaults: those that differ from the dataclass's, by field.
    """
    for known in fields(flags):
        if known.name != "_name":
            default = defaults.get(known.name, known.default)
            assert default is not MISSING, f"the flag {known.name} has no default"
            setattr(args, known.name, getattr(args, known.name, default))


def tensor_settings(flags: type[FairseqDataclass]) -> set[str]:
    """The flags that change what tensors are or mean: checkpoints that differ in one do not belong together."""
    return {known.name for known in fields(flags) if known.name != "_name" and not known.metadata["training_only"]}
