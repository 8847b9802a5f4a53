"""Flags as fairseq-hydra-train gives them, in the form in which fairseq-train does.

fairseq-train hands ``build_model`` a Namespace that argparse has checked. From a configuration file comes a DictConfig:
its values have the types that YAML gives them, and fairseq's ``TransformerConfig`` keeps only flags of its own of it.
"""

import argparse
import contextlib
import difflib
from collections.abc import Callable, Iterator
from typing import Any

from fairseq.models import ARCH_CONFIG_REGISTRY
from omegaconf import DictConfig, OmegaConf, open_dict

from fairseq_alone.errors import UserError
from fairseq_alone.models.embedding_family import EmbeddingFamily


@contextlib.contextmanager
def as_namespace(model: Any, args: argparse.Namespace | DictConfig) -> Iterator[argparse.Namespace]:
    """Yield the flags as a Namespace with checked values; what changes there is changed in ``args``, too.

    Args:
        model: the class of the model, with ``add_args`` and ``add_own_args``.
        args: a Namespace, yielded as it is, or a DictConfig.

    Raises:
        UserError: a value that its flag does not take, or a setting of this package that the model does not have.
    """
    if not isinstance(args, DictConfig):
        yield args
        return
    values: Any = OmegaConf.to_container(args, resolve=True)  # a dictionary, as the model's flags are one
    flags = argparse.Namespace(**values)
    own = _flags_of(model.add_own_args)
    known = {*_flags_of(model.add_args), *_set_by_architecture(flags)}
    ours = {*own, *(name for family in EmbeddingFamily.__subclasses__() for name in _flags_of(family.add_args))}
    for name, value in vars(flags).items():
        if name in own and value is not None:
            setattr(flags, name, _checked(own[name], value))
        elif name not in known and difflib.get_close_matches(name, ours, cutoff=0.6):
            raise UserError(f"model.{name}: {flags._name} has no such setting; it has {', '.join(sorted(own))}")
    yield flags
    # A checkpoint keeps the settings, and other tools read there how the model was built.
    with open_dict(args):
        args.update({name: value for name, value in vars(flags).items() if _is_plain(value)})


def _flags_of(add_args: Callable[[argparse.ArgumentParser], None]) -> dict[str, argparse.Action]:
    parser = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    add_args(parser)
    return {action.dest: action for action in parser._actions}


def _set_by_architecture(flags: argparse.Namespace) -> dict:
    # Some of them have no flag.
    settings = argparse.Namespace()
    ARCH_CONFIG_REGISTRY[flags._name](settings)
    return vars(settings)


def _checked(action: argparse.Action, value: Any) -> Any:
    flag = action.option_strings[0]
    if action.nargs == 0:  # a switch
        if not isinstance(value, bool):
            raise UserError(f"model.{action.dest} ({flag}) must be true or false, got {value!r}")
        return value
    convert: Any = action.type or str
    try:
        # As on a command line, 2000 may stand for the text "2000", and 1 for 1.0, but 1.5 for no integer.
        converted = convert(str(value))
    except ValueError:
        raise UserError(f"model.{action.dest} ({flag}): {value!r} is no {convert.__name__}") from None
    if action.choices is not None and converted not in action.choices:
        raise UserError(
            f"model.{action.dest} ({flag}) must be one of {', '.join(map(str, action.choices))}, got {value!r}"
        )
    return converted


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))
