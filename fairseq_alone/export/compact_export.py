"""One small file with all of a model but its subwords: ``fairseq-alone export --to compact``.

Half precision is the default: it halves the file, and what it rounds nobody can measure. Less is a choice that costs
something, so it is asked for. The embedding of a model that was trained with 8 or 4 bits loses nothing by them.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fairseq_alone import __version__
from fairseq_alone.errors import UserError
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.files import replaced_on_success
from fairseq_alone.inference.backend import Backend, Scorer
from fairseq_alone.inference.trained_model import TrainedModel
from fairseq_alone.models.embedding_bits import stored_as
from fairseq_alone.modules.compact_file import write_compact_file
from fairseq_alone.modules.computed_embedding import ComputedEmbedding
from fairseq_alone.modules.quantization import QUANTIZATIONS
from fairseq_alone.modules.rounding import rounding_of

if TYPE_CHECKING:
    from fairseq.data import Dictionary

OPTIONS = ("quantization", "embedding_quantization")
IS_FILE = True

#: What a file has that is written without ``--quantization``.
DEFAULT_QUANTIZATION = "fp16"

_PLACES = ("encoder.embed_tokens", "decoder.embed_tokens", "decoder.output_embedding")


def require_types(options: ExportOptions) -> None:
    """Raise UserError, which names the flag, for a type of numbers that a compact file does not have."""
    for name in OPTIONS:
        value = getattr(options, name)
        if value is not None and value not in QUANTIZATIONS:
            flag = f"--{name.replace('_', '-')}"
            raise UserError(f"{flag} must be one of {', '.join(QUANTIZATIONS)} for a compact file, got {value}")


def write(trained: TrainedModel, output: Path, options: ExportOptions) -> None:
    """Write the file. See :class:`~fairseq_alone.export.targets.Target`."""
    require_types(options)
    stored = stored_types(trained, options.quantization or DEFAULT_QUANTIZATION, options.embedding_quantization)
    metadata = {**model_metadata(trained), "rounded": _json(stored.rounded)}
    with replaced_on_success(str(output)) as part:
        write_compact_file(part, stored.state_dict, metadata, stored.others, stored.embedding)


@dataclass(frozen=True)
class StoredTypes:
    """How a model is stored.

    Args:
        others: the type of all tensors but those of embeddings and the output layer.
        embedding: the type of these.
        rounded: all types that tensors are rounded to then which they were not in the training, sorted: nothing undoes
            an earlier rounding.
        state_dict: the tensors to store.
    """

    others: str
    embedding: str
    rounded: list[str]
    state_dict: dict[str, Tensor]


def stored_types(trained: TrainedModel, quantization: str, embedding_quantization: str | None) -> StoredTypes:
    """What asked-for types mean for a model.

    An embedding that was trained with ``--embedding-bits`` is stored in that type unless another one is asked for. From
    the trained tensors this gives what the model computes with; in another type, what it computes with is stored.
    """
    own = stored_as(trained.config["model"])
    embedding = embedding_quantization or own or quantization
    new = {quantization, *(() if embedding == own else (embedding,))}
    tensors = trained.model.state_dict()
    if own is not None and embedding != own:
        tensors = {**tensors, **_computed_with(trained.model, tensors.keys())}
    return StoredTypes(quantization, embedding, sorted({*trained.rounded, *new} - {"fp32"}), tensors)


@torch.no_grad()
def _computed_with(model: nn.Module, names: Collection[str]) -> dict[str, Tensor]:
    """The tensors of embeddings as they are after their rounding, by those names that a state dict has."""
    found = {}
    for place, module in model.named_modules(remove_duplicate=False):
        rounding = rounding_of(module)
        if rounding is not None:
            found.update({f"{place}.{name}": tensor for name, tensor in rounding.tensors(module).items()})
    return {name: found[name] for name in names if name in found}


def open_backend(trained: TrainedModel, output: Path) -> Backend:
    """fairseq's search over what the file holds."""
    from fairseq_alone.inference.compact_source import read_compact
    from fairseq_alone.inference.fairseq_backend import FairseqBackend

    return FairseqBackend(read_compact(str(output)))


def open_scorer(trained: TrainedModel, output: Path) -> Scorer:
    """A language model that reads what the file holds."""
    from fairseq_alone.inference.compact_source import read_compact
    from fairseq_alone.inference.fairseq_scorer import FairseqScorer

    return FairseqScorer(read_compact(str(output)))


def model_metadata(trained: TrainedModel) -> dict[str, str]:
    """All of a model but its tensors and its subwords, as the metadata of a compact file."""
    text = asdict(trained.text)
    del text["subword_model"]
    target = dictionary_text(trained.target_dictionary)
    source = trained.source_dictionary and dictionary_text(trained.source_dictionary)
    metadata = {
        "package_version": __version__,
        "kind": trained.kind,
        "config": _json(_without_bits(trained.config)),
        "text": _json(text),
        "decoding": _json(asdict(trained.decoding)),
        "embeddings": _json(embeddings(trained.model)),
    }
    # A dictionary that both languages share is there once.
    if source is not None and source != target:
        metadata["source_dictionary"] = source
    return {**metadata, "target_dictionary": target}


def _without_bits(config: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    # What is stored is rounded: doing it again would be another function.
    return (
        config if stored_as(config["model"]) is None else {**config, "model": {**config["model"], "embedding_bits": 32}}
    )


def embeddings(model: Any) -> dict[str, dict[str, Any]]:
    """What builds each embedding without fairseq, by the beginning of its tensors' names.

    Returns:
        ``{"encoder.embed_tokens": {"family": "alone", "settings": {...}}, "decoder.embed_tokens": {"same_as":
        "encoder.embed_tokens"}}``; ``settings`` is None for a family that only its plugin can build.
    """
    from fairseq_alone.models.conventional_family import ConventionalFamily
    from fairseq_alone.models.output_layers import embedding_family_at

    first: dict[int, str] = {}
    found: dict[str, dict[str, Any]] = {}
    modules = dict(model.named_modules(remove_duplicate=False))
    for place in _PLACES:
        embedding = modules.get(place)
        # Adaptive inputs of stock fairseq are several tables.
        if not isinstance(embedding, ComputedEmbedding | nn.Embedding):
            continue
        known = first.setdefault(id(embedding), place)
        family = embedding_family_at(model, place) if hasattr(model, "family") else ConventionalFamily
        description = {"family": family.name, "settings": family.module_settings(embedding)}
        found[place] = description if known == place else {"same_as": known}
    return found


def dictionary_text(dictionary: Dictionary) -> str:
    """``dict.txt`` of a dictionary: a line with a word and its count for each word but the special ones."""
    words = list(zip(dictionary.symbols, dictionary.count, strict=True))
    known = set(dictionary.symbols[: dictionary.nspecial])
    lines = []
    for word, count in words[dictionary.nspecial :]:
        # fairseq's mark of a word that is there before, for example "<unk>" among the words themselves.
        lines.append(f"{word} {count}{' #fairseq:overwrite' if word in known else ''}\n")
        known.add(word)
    return "".join(lines)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
