"""A trained model with all that its use needs: the network, the dictionaries, how text is split, how it decodes."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from fairseq_alone.errors import UserError

if TYPE_CHECKING:
    from fairseq.data import Dictionary
    from fairseq.models import BaseFairseqModel
    from fairseq.tasks import FairseqTask
    from torch import Tensor

    from fairseq_alone.models.embedding_family import EmbeddingFamily

#: What a model does.
Kind = Literal["translation", "headlines", "language_model"]

#: Settings that models read though no flag of theirs has the name: those of tasks, and whether an LSTM language model
#: has an adaptive output layer.
OTHER_SETTINGS = ("max_source_positions", "max_target_positions", "tokens_per_sample", "criterion")
_TASK_FLAGS = (
    *("source_lang", "target_lang", "left_pad_source", "left_pad_target", "truncate_source"),
    *("max_source_positions", "max_target_positions", "tokens_per_sample", "add_bos_token", "sample_break_mode"),
)
#: Stands in the settings of the task where the training was one of ``--task truncated_bptt_lm``.
READS_ON = "reads_on"
# Those that change what fairseq's criterions say of a trained model.
_CRITERION_FLAGS = ("_name", "label_smoothing", "report_accuracy", "ignore_prefix_size", "sentence_avg")


@dataclass(frozen=True)
class TextSettings:
    """How raw text becomes a model's units, and back.

    Args:
        source_lang: of the dictionary; None for a language model.
        target_lang: of the dictionary; None for a language model.
        tokenizer: ``"moses"`` or ``"none"``.
        tokenizer_lang: the language whose rules the tokeniser of the source follows.
        subwords: ``"subword-nmt"``, ``"sentencepiece"`` or ``"none"``.
        subword_model: the merges of subword-nmt or the model of SentencePiece, as bytes; None for ``"none"``.
        whole: words that are never split.
        target_units: ``"subwords"`` or ``"characters"`` (``▁`` is the space).
        headline_text: whether the source is first brought into the form that the recipe for headlines splits.
        lowercase: whether it is lower-cased then.
    """

    source_lang: str | None = None
    target_lang: str | None = None
    tokenizer: str = "none"
    tokenizer_lang: str | None = None
    subwords: str = "none"
    subword_model: bytes | None = None
    whole: tuple[str, ...] = ()
    target_units: str = "subwords"
    headline_text: bool = False
    lowercase: bool = False


@dataclass(frozen=True)
class Decoding:
    """Defaults of the search.

    Args:
        beam: its size.
        lenpen: exponent of the length penalty; fairseq's ``--lenpen``.
        sentences: decoded at a time.
        max_len_a, max_len_b: the longest output, ``a * (length of the source) + b`` units.
    """

    beam: int = 5
    lenpen: float = 1.0
    sentences: int = 32
    max_len_a: float = 0.0
    max_len_b: int = 200


@dataclass(frozen=True)
class ModelFacts:
    """What the use of a model needs to know of it, whatever decodes.

    Args:
        path: what it was read from; sentences name it.
        kind: what it does.
        text: how text is split.
        decoding: defaults of the search.
        has_length_encoding: whether it writes to a length.
        carries_state: of a language model, whether it was trained with a state that goes on from piece to piece.
    """

    path: str
    kind: Kind
    text: TextSettings
    decoding: Decoding
    has_length_encoding: bool = False
    carries_state: bool = False


@dataclass
class TrainedModel:
    """A model in evaluation mode on the CPU, and what belongs to it.

    Args:
        path: what it was read from; sentences name it.
        kind: what it does.
        model: fairseq's model, built and loaded.
        task: fairseq's task, with the dictionaries.
        config: the settings that build both, as plain values: ``{"model": {...}, "task": {...}}``; with
            ``"criterion"`` where it is known.
        source_dictionary: None for a language model.
        target_dictionary: of the words that it writes.
        text: how text is split.
        decoding: defaults of the search.
        scores: what was measured of it, as ``scores.json`` has it; empty if nothing was.
        licence: its text, where one goes with the model.
        rounded: the types that its tensors were rounded to since the training, for example ``("int8",)``.
    """

    path: str
    kind: Kind
    model: BaseFairseqModel
    task: FairseqTask
    config: dict[str, dict[str, Any]]
    source_dictionary: Dictionary | None
    target_dictionary: Dictionary
    text: TextSettings = field(default_factory=TextSettings)
    decoding: Decoding = field(default_factory=Decoding)
    scores: dict[str, Any] = field(default_factory=dict)
    licence: str | None = None
    rounded: tuple[str, ...] = ()

    @property
    def facts(self) -> ModelFacts:
        """What its use needs to know."""
        encoding = self.config["model"].get("length_encoding") or "none"
        # A Transformer has no state.
        carries_state = self.reads_on and hasattr(self.model.decoder, "carried_state")
        return ModelFacts(self.path, self.kind, self.text, self.decoding, encoding != "none", carries_state)

    @property
    def reads_on(self) -> bool:
        """Whether it was trained by ``--task truncated_bptt_lm``, on text that goes on from batch to batch."""
        return bool(self.config["task"].get(READS_ON))

    @property
    def architecture(self) -> str:
        """The name of the registered architecture."""
        return self.config["model"]["arch"]

    @property
    def model_name(self) -> str:
        """The name of the registered model, for example ``transformer_alone``."""
        from fairseq.models import ARCH_MODEL_NAME_REGISTRY

        return ARCH_MODEL_NAME_REGISTRY.get(self.architecture, self.architecture)


def build_model(
    path: str,
    config: dict[str, dict[str, Any]],
    state_dict: dict[str, Tensor],
    source_dictionary: Dictionary | None,
    target_dictionary: Dictionary,
) -> tuple[BaseFairseqModel, FairseqTask]:
    """Build a model and its task from plain settings, load its tensors, and put it into evaluation mode.

    Args:
        path: what all this was read from, for sentences.
        config: see :class:`TrainedModel`.
        state_dict: the tensors, as the model's ``state_dict()`` gives them.
        source_dictionary: None for a language model.
        target_dictionary: of the words that it writes.

    Raises:
        UserError: the settings name no known architecture or task, or the tensors do not fit.
    """
    from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_DATACLASS_REGISTRY
    from omegaconf import OmegaConf

    from fairseq_alone import plugin

    plugin.register()
    task = build_task(path, config["task"], source_dictionary, target_dictionary)
    settings = dict(config["model"])
    architecture = settings.get("arch")
    if architecture not in ARCH_MODEL_REGISTRY:
        raise UserError(f"{path}: its architecture {architecture} is not known; give --user-dir with its plugin")
    if settings.get("_name") in MODEL_DATACLASS_REGISTRY:
        model = task.build_model(OmegaConf.create(settings), from_checkpoint=True)
    else:
        model = task.build_model(Namespace(**settings))
    try:
        model.load_state_dict(dict(state_dict), strict=True, model_cfg=Namespace(**settings))
    except RuntimeError as error:
        raise UserError(f"{path}: its tensors do not fit its settings ({error})") from error
    return model.eval(), task


def build_task(
    path: str, settings: dict[str, Any], source_dictionary: Dictionary | None, target_dictionary: Dictionary
) -> FairseqTask:
    """fairseq's task over given dictionaries. Raises UserError when it is not known."""
    from fairseq.tasks import TASK_DATACLASS_REGISTRY, TASK_REGISTRY

    name = settings.get("_name")
    if name not in ("translation", "headline_generation", "language_modeling"):
        raise UserError(
            f"{path}: the task {name} cannot be used here; translation, headline_generation and language_modeling can"
        )
    task_class, flags = TASK_REGISTRY[name], TASK_DATACLASS_REGISTRY[name]()
    for key, value in settings.items():
        if hasattr(flags, key):
            setattr(flags, key, value)
    if name == "language_modeling":
        return task_class(flags, target_dictionary)
    return task_class(flags, source_dictionary, target_dictionary)


def plain_config(model: Any, task: Any, criterion: Any = None) -> dict[str, dict[str, Any]]:
    """The settings of a checkpoint that building its model needs, as JSON values; no folders, nothing of the training
    but its criterion, which fairseq-validate computes.

    Args:
        model: ``cfg["model"]``: a Namespace or a DictConfig.
        task: ``cfg["task"]``, likewise.
        criterion: ``cfg["criterion"]``, likewise; None if it is not known.
    """
    settings = _plain(model)
    architecture = str(settings.get("arch") or settings.get("_name"))
    known = flags_of_architecture(architecture)
    known -= _training_only()
    kept = {name: value for name, value in settings.items() if name in known or name in OTHER_SETTINGS}
    for family in _families():
        family.forget_files(kept)
    # fairseq's build_model takes the name of an architecture there, and none of a model.
    kept |= {"arch": architecture, "_name": settings.get("_name") or architecture}
    task_settings = _plain(task)
    task_flags = {name: task_settings[name] for name in _TASK_FLAGS if name in task_settings}
    task_name = task_settings.get("_name") or settings.get("task")
    if task_name == "truncated_bptt_lm":
        # In use texts are single, and other tools know this task only.
        task_name, task_flags[READS_ON] = "language_modeling", True
    config = {"model": kept, "task": {"_name": task_name, **task_flags}}
    if criterion:
        config["criterion"] = {name: value for name, value in _plain(criterion).items() if name in _CRITERION_FLAGS}
    return config


def _plain(settings: Any) -> dict[str, Any]:
    from omegaconf import DictConfig, OmegaConf

    if isinstance(settings, DictConfig):
        values: Any = OmegaConf.to_container(settings, resolve=True)
        return values
    return dict(vars(settings)) if isinstance(settings, Namespace) else dict(settings or {})


def flags_of_architecture(architecture: str) -> set[str]:
    """The settings that a registered architecture knows: its flags, and what it fills in."""
    from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY

    parser = ArgumentParser(add_help=False, argument_default=SUPPRESS)
    if architecture in ARCH_MODEL_REGISTRY:
        ARCH_MODEL_REGISTRY[architecture].add_args(parser)
    filled = Namespace()
    if architecture in ARCH_CONFIG_REGISTRY:
        ARCH_CONFIG_REGISTRY[architecture](filled)
    return {action.dest for action in parser._actions} | vars(filled).keys()


def _families() -> list[type[EmbeddingFamily]]:
    from fairseq_alone.models.families import FAMILIES

    return list(FAMILIES.values())


def _training_only() -> set[str]:
    from fairseq_alone.models.family_flags import tensor_settings

    names = {"embedding_init", "corpus_lines", "embedding_bits_after", "hierarchical_vectors", "candidates"}
    names |= {"encoder_embed_path", "decoder_embed_path", "load_alignments", "matmul_precision"}
    for family in _families():
        flags = vars(family.flags())
        names |= {name for name in flags if name != "_name"} - tensor_settings(family.flags)
    return names
