"""Flags that fairseq does not know: say where they belong, or which was meant."""

import argparse
import difflib
import functools
import re
from typing import Any

from fairseq import options
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_REGISTRY
from fairseq.registry import REGISTRIES
from fairseq.tasks import TASK_REGISTRY

_FEW_CHOICES = 10
_FEW_NAMES = 4


def install() -> None:
    """Print one sentence in place of argparse's page of usage."""
    # Every command of fairseq parses its flags by this function; it has imported --user-dir before.
    original = options.parse_args_and_arch

    @functools.wraps(original)
    def parse_args_and_arch(parser: Any, *args: Any, **kwargs: Any) -> Any:
        parser.error = functools.partial(_exit, parser)
        try:
            return original(parser, *args, **kwargs)
        except RuntimeError as error:
            # fairseq says nothing at all.
            if error.args:
                raise
            parser.error("--arch is missing: it names the model, for example --arch transformer_alone")
        except KeyError as error:
            if error.args != (None,):
                raise
            parser.error("--task is missing, for example --task translation")

    options.parse_args_and_arch = parse_args_and_arch


def _exit(parser: argparse.ArgumentParser, message: str) -> None:
    parser.exit(2, f"{parser.prog}: error: {sentence(parser, message)}\n")


def sentence(parser: argparse.ArgumentParser, message: str) -> str:
    """What to tell the user in place of argparse's message: flags that are not known, and long lists of choices.

    Args:
        parser: knows the flags of this command.
        message: argparse's.
    """
    unknown = re.fullmatch(r"unrecognized arguments: (.*)", message, re.DOTALL)
    if unknown:
        flags = [word.split("=")[0] for word in unknown.group(1).split() if re.match(r"--?[a-zA-Z]", word)]
        return "; ".join(_about(parser, flag) for flag in dict.fromkeys(flags)) or message
    choice = re.fullmatch(r"argument (\S+): invalid choice: '(.*?)' \(choose from (.*)\)", message, re.DOTALL)
    if choice:
        flag, given, choices = choice.group(1).split("/")[0], choice.group(2), re.findall(r"[\w.@-]+", choice.group(3))
        near = difflib.get_close_matches(given, choices, n=1)
        if near:
            return f"{flag} {given}: there is no such choice; did you mean {near[0]}?"
        if len(choices) > _FEW_CHOICES:
            return f"{flag} {given}: there is no such choice; is --user-dir given, and the name right?"
    return message


def _about(parser: argparse.ArgumentParser, flag: str) -> str:
    owners = flag_owners()
    if flag in owners:
        return f"{flag} {_belongs(parser, owners[flag])}"
    known = [name for name in parser._option_string_actions if name.startswith("--")]
    near = difflib.get_close_matches(flag, [*known, *owners], n=1, cutoff=0.75)
    if not near:
        return f"{flag}: there is no such flag"
    where = "" if near[0] in known else f" (it {_belongs(parser, owners[near[0]])})"
    return f"{flag}: there is no such flag; did you mean {near[0]}{where}?"


def _belongs(parser: argparse.ArgumentParser, owners: dict[str, list[str]]) -> str:
    if list(owners) == ["--arch"] and "--arch" not in parser._option_string_actions:
        return "is a setting of the model, which the checkpoint holds: leave it out"
    # Models as they were registered, Transformers before models of word vectors; then the names of their sizes.
    order = {name: number for number, name in enumerate(MODEL_REGISTRY)}
    places = []
    for option, names in owners.items():
        names = sorted(names, key=lambda name: (order.get(name, len(order)), len(name), name))
        places.append(f"{option} {', '.join(names[:_FEW_NAMES])}" + (" and so on" if len(names) > _FEW_NAMES else ""))
    return f"belongs to {' or '.join(places)}, which this command was not given"


@functools.cache
def flag_owners() -> dict[str, dict[str, list[str]]]:
    """The flags of this package: ``{"--alone-share": {"--arch": ["transformer_alone", ...]}}``."""
    registries = {
        "--arch": ARCH_MODEL_REGISTRY,
        "--task": TASK_REGISTRY,
        **{f"--{name.replace('_', '-')}": registry["registry"] for name, registry in REGISTRIES.items()},
    }
    owners: dict[str, dict[str, list[str]]] = {}
    for option, registry in registries.items():
        for name, registered in registry.items():
            if not registered.__module__.startswith("fairseq_alone."):
                continue
            parser = argparse.ArgumentParser(add_help=False, conflict_handler="resolve")
            registered.add_args(parser)
            for flag in parser._option_string_actions:
                owners.setdefault(flag, {}).setdefault(option, []).append(name)
    return owners
