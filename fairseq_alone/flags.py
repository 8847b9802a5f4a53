"""The plugin's own flags, read from what is registered with fairseq: a new model or criterion appears by itself.

fairseq's ``--help`` ends before the flags of models, and among a hundred of its own nobody would find these.
"""

import argparse
import dataclasses
from collections.abc import Iterator

from fairseq_alone import plugin

KINDS = ("architecture", "criterion", "optimizer", "task")


@dataclasses.dataclass(frozen=True)
class Flag:
    """One flag of one kind of thing.

    Attributes:
        flag: with its dashes.
        kind: of what takes it, one of :data:`KINDS`.
        values: what to write behind it: ``"N"``, ``"{update,forward}"``, or ``""`` for a switch.
        help: what it means.
        defaults: the default by the name of what takes it, in the order of registration. None: there is none.
    """

    flag: str
    kind: str
    values: str
    help: str
    defaults: dict[str, object]


def own_flags() -> list[Flag]:
    """Every flag that is this plugin's and not fairseq's, those that the most architectures take first."""
    plugin.register()
    found: dict[tuple[str, str, str], Flag] = {}
    for kind, name, registered, architecture in _registered():
        values = argparse.Namespace()
        for action in _own_actions(registered):
            if action.default is not argparse.SUPPRESS:
                setattr(values, action.dest, action.default)
        if architecture is not None:
            architecture(values)
        for action in _own_actions(registered):
            help_text = " ".join((action.help or "").split())
            key = kind, action.option_strings[0], help_text
            flag = found.setdefault(key, Flag(action.option_strings[0], kind, _values(action), help_text, {}))
            flag.defaults[name] = getattr(values, action.dest, None)
    return sorted(found.values(), key=lambda flag: (KINDS.index(flag.kind), -len(flag.defaults)))


def names() -> dict[str, str]:
    """The kind of everything that the plugin registers, by its name."""
    plugin.register()
    return {name: kind for kind, name, *_ in _registered()}


def _registered() -> Iterator[tuple]:
    """Yield kind, name, class and, for an architecture, the function that fills in its defaults."""
    from fairseq.criterions import CRITERION_REGISTRY
    from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY
    from fairseq.optim import OPTIMIZER_REGISTRY
    from fairseq.tasks import TASK_REGISTRY

    registries = (ARCH_MODEL_REGISTRY, CRITERION_REGISTRY, OPTIMIZER_REGISTRY, TASK_REGISTRY)
    for kind, registry in zip(KINDS, registries, strict=True):
        for name, registered in registry.items():
            if registered.__module__.startswith(f"{__package__}."):
                yield kind, name, registered, ARCH_CONFIG_REGISTRY[name] if kind == "architecture" else None


def _own_actions(registered: type) -> list[argparse.Action]:
    """The arguments that a class adds to those of the fairseq classes that it extends."""
    bases = [base for base in registered.__mro__ if _is_stock(base)]
    if hasattr(registered, "stock_model"):
        bases.append(registered.stock_model)
    stock = {action.dest for base in bases for action in _actions(base)}
    for base in (getattr(registered, "__dataclass", None) or object).__mro__:
        if _is_stock(base) and dataclasses.is_dataclass(base):
            stock.update(field.name for field in dataclasses.fields(base))
    return [action for action in _actions(registered) if action.dest not in stock]


def _is_stock(base: type) -> bool:
    return base.__module__.split(".")[0] == "fairseq"


def _actions(registered: type) -> list[argparse.Action]:
    # As fairseq does: a model's flag that was not given has no value, so that the architecture may fill it in.
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    if hasattr(registered, "add_args"):
        registered.add_args(parser)
    return parser._actions


def _values(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.choices is not None:
        return f"{{{','.join(map(str, action.choices))}}}"
    if action.metavar:
        return str(action.metavar)
    letters: dict[object, str] = {int: "N", float: "X"}
    return letters.get(action.type, "VALUE")
