"""Settings of a trained model as the flags that give them."""

from argparse import SUPPRESS, Action, ArgumentParser
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from fairseq.dataclass.utils import gen_parser_from_dataclass
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_DATACLASS_REGISTRY
from fairseq.tasks import TASK_DATACLASS_REGISTRY

from fairseq_alone.models.families import FAMILIES

# Of starting a table, of a square matrix that becomes a part of the output's vectors, and of another family there.
_NOT_FOR_THE_STUDENT = {
    *("encoder_embed_path", "decoder_embed_path", "load_alignments", "embedding_init", "corpus_lines"),
    *("embedding_bits", "embedding_bits_after", "output_projection_regularization"),
    *("output_layer", "hierarchical_tree", "hierarchical_vectors"),
}


def model_flags(architecture: str, settings: dict[str, Any]) -> list[str]:
    """Flags with which ``fairseq-train --arch`` builds the network of a model; without those of any embedding.

    Args:
        architecture: the one that is to be built.
        settings: of the trained model, by name.
    """
    skipped = _NOT_FOR_THE_STUDENT | {known.name for family in FAMILIES.values() for known in fields(family.flags)}
    # What is not written down of stock models is the default of their dataclass.
    dataclass = MODEL_DATACLASS_REGISTRY.get(settings.get("_name"))
    defaults = vars(dataclass()) if dataclass else {}
    known = {name: value for name, value in defaults.items() if not str(value).startswith("${")} | settings
    return given(_of_architecture(architecture), {name: value for name, value in known.items() if name not in skipped})


def family_flags(architecture: str, settings: dict[str, object]) -> list[str]:
    """Flags of an embedding, for example what ``flags_of_share`` gives."""
    return given(_of_architecture(architecture), settings)


def task_flags(settings: dict[str, Any]) -> list[str]:
    """Flags of a task, itself included, from its settings."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    gen_parser_from_dataclass(parser, TASK_DATACLASS_REGISTRY[settings["_name"]]())
    return ["--task", settings["_name"], *given(parser._actions, settings)]


def given(actions: Iterable[Action], settings: dict[str, Any]) -> list[str]:
    """The flags of a parser that give these settings. Settings that are None, or no flag's, are left out."""
    words: list[str] = []
    for action in actions:
        value = settings.get(action.dest)
        if value is None or not action.option_strings:
            continue
        if action.nargs == 0:
            words += [action.option_strings[0]] if value == action.const else []
        else:
            # fairseq's architectures say False where a flag is a number.
            value = int(value) if isinstance(value, bool) and action.type is int else value
            # With the sign of equality, a negative number is no flag.
            words.append(f"{action.option_strings[0]}={value}")
    return words


def _of_architecture(architecture: str) -> list[Action]:
    parser = ArgumentParser(add_help=False, allow_abbrev=False, argument_default=SUPPRESS)
    ARCH_MODEL_REGISTRY[architecture].add_args(parser)
    return parser._actions
