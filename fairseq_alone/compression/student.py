"""A model with the network of a trained one and another embedding, which begins as near to the trained one's as it can.

The student is an ordinary model of fairseq-train: its flags give it, and its checkpoint is one that fairseq wrote.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from fairseq import options
from fairseq.data import Dictionary
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from omegaconf import DictConfig, OmegaConf, open_dict
from torch import Tensor, nn

from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.compression.flags import family_flags, model_flags, task_flags
from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.export.stock import is_embedding, matrix_of, output_rows
from fairseq_alone.files import replaced_on_success
from fairseq_alone.inference.trained_model import TrainedModel, plain_config
from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.models.networks import network_of
from fairseq_alone.models.starting import embeddings_of, start_from_matrix

# Of the values that a fit begins with.
_SEED = 1


@dataclass(frozen=True)
class Student:
    """A student before its training.

    Args:
        trained: the model, in evaluation mode, with all that the teacher has: dictionaries, text, search.
        flags: of ``fairseq-train`` that build it and its task.
        cfg: the whole configuration of fairseq that follows from them.
        explained: for each embedding, by its place, the share of the teacher's variance that it has; empty for one that
            was read.
    """

    trained: TrainedModel
    flags: list[str]
    cfg: DictConfig
    explained: dict[str, float]


def make_student(
    teacher: TrainedModel,
    family: type[EmbeddingFamily],
    settings: dict[str, object],
    data: str = ".",
    written: str | None = None,
) -> Student:
    """Build a student and start its embeddings with the teacher's.

    Args:
        teacher: a Transformer or a language model, of this package or of stock fairseq.
        family: of the student's embeddings.
        settings: the family's flags; see :func:`share_settings`.
        data: the folder that the configuration names.
        written: the checkpoint of the same student, if :func:`write_student` has been there; then that is read.

    Raises:
        UserError: the network is none of this package's, or has parts that the family does not work with.
    """
    network = network_of(teacher.model)
    if network is None:
        raise UserError(
            f"{teacher.path}: its network is {teacher.model_name}; a Transformer, a Transformer language model or an "
            "LSTM language model of this package can be compressed"
        )
    architecture = network.plain_architecture(family)
    flags = [*task_flags(teacher.config["task"]), "--arch", architecture]
    flags += [*model_flags(architecture, teacher.config["model"]), *family_flags(architecture, settings)]
    args = options.parse_args_and_arch(options.get_training_parser(), [data, *flags])
    cfg = convert_namespace_to_omegaconf(args)
    explained: dict[str, float] = {}
    # What is fitted begins with random values: always the same ones, and the caller draws as if nothing had happened.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model: Any = teacher.task.build_model(cfg.model)
        _copy_network(teacher, model)
        if written is None:
            explained = _start_embeddings(teacher, model, family)
        else:
            model.load_state_dict(load_checkpoint(written)["model"], strict=True)
    config = plain_config(cfg.model, cfg.task, teacher.config.get("criterion"))
    return Student(replace(teacher, model=model.eval(), config=config, scores={}, rounded=()), flags, cfg, explained)


def share_settings(teacher: TrainedModel, family: type[EmbeddingFamily], share: float) -> dict[str, object]:
    """The family's flags for a share of the values of the teacher's table, that of its decoder.

    Raises:
        UserError: the family has no such size.
    """
    rows, dim = matrix_of(teacher.model.decoder.embed_tokens).shape
    try:
        return family.flags_of_share(share, rows, dim)
    except SettingError as error:
        raise UserError(f"--share {share} with --family {family.name}: {error.setting} {error.problem}") from error


def write_student(student: Student, path: str) -> None:
    """Write a checkpoint as fairseq writes one, for ``--finetune-from-model`` and for every command of fairseq."""
    write_checkpoint(path, student.cfg, student.trained.model.state_dict())


def write_checkpoint(path: str, cfg: Any, tensors: dict[str, Tensor], num_updates: int = 0) -> None:
    """A checkpoint without anything of a training but how many updates it had.

    Args:
        path: the file.
        cfg: fairseq's configuration, an OmegaConf or plain containers.
        tensors: the model's.
        num_updates: that made it.
    """
    if OmegaConf.is_config(cfg):
        with open_dict(cfg):
            cfg = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    history = {
        "criterion_name": "CrossEntropyCriterion",
        "optimizer_name": "FairseqAdam",
        "lr_scheduler_state": {"best": None},
        "num_updates": num_updates,
    }
    state = {
        "args": None,
        "cfg": cfg,
        "model": tensors,
        "criterion": None,
        "optimizer_history": [history],
        "task_state": {},
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}, "val_loss": None},
        "last_optimizer_state": None,
    }
    with replaced_on_success(path) as part:
        torch.save(state, part)


def _copy_network(teacher: TrainedModel, model: nn.Module) -> None:
    """All tensors but those of embeddings and output layers."""
    own = model.state_dict()
    network = {name: tensor for name, tensor in teacher.model.state_dict().items() if not is_embedding(name)}
    kept = {name for name in own if is_embedding(name)}
    if network.keys() != own.keys() - kept:
        differing = sorted(network.keys() ^ (own.keys() - kept))
        raise UserError(f"{teacher.path}: has parts that {type(model).__name__} does not have: {differing[0]}")
    model.load_state_dict({**{name: own[name] for name in kept}, **network}, strict=True)


def _start_embeddings(teacher: TrainedModel, model: nn.Module, family: type[EmbeddingFamily]) -> dict[str, float]:
    explained: dict[str, float] = {}
    matrices = _matrices(teacher)
    for place, module in embeddings_of(model):
        side = teacher.source_dictionary if place.startswith("encoder.") else teacher.target_dictionary
        matrix = matrices["output" if "output" in place else place].detach().float().cpu()
        if isinstance(module, nn.Embedding):
            # A table takes all of a table, padding too: a tied output layer trains that row.
            module.weight.data.copy_(matrix)
            explained[place] = 1.0
        else:
            explained[place] = start_from_matrix(family, module, matrix, frequencies(side or teacher.target_dictionary))
    return explained


def _matrices(teacher: TrainedModel) -> dict[str, Tensor]:
    """What the teacher's embeddings compute, and the rows of its output layer."""
    model: Any = teacher.model
    decoder = model.decoder
    found = {"decoder.embed_tokens": matrix_of(decoder.embed_tokens)}
    found["output"] = output_rows(decoder.output_projection, decoder.embed_tokens, matrix_of)
    if hasattr(model, "encoder"):
        found["encoder.embed_tokens"] = matrix_of(model.encoder.embed_tokens)
    return found


def frequencies(dictionary: Dictionary) -> Tensor:
    """How often each word occurs, (V,), float32.

    A dictionary does not count the ends of sentences. There are about as many as of its most frequent word, which for
    most texts is the full stop.
    """
    counts = torch.tensor(dictionary.count, dtype=torch.float32)
    counts[dictionary.eos()] = counts.max()
    return counts
