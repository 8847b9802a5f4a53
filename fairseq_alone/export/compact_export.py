"""One small file with all of a model but its subwords: ``fairseq-alone export --to compact``.

Half precision is the default: it halves the file, and what it rounds nobody can measure. Less is a choice that costs
something, so it is asked for.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from fairseq_alone import __version__
from fairseq_alone.errors import UserError
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.files import replaced_on_success
from fairseq_alone.inference.backend import Backend, Scorer
from fairseq_alone.inference.trained_model import TrainedModel
from fairseq_alone.modules.compact_file import write_compact_file
from fairseq_alone.modules.computed_embedding import ComputedEmbedding
from fairseq_alone.modules.quantization import QUANTIZATIONS

if TYPE_CHECKING:
    from fairseq.data import Dictionary

    from fairseq_alone.models.embedding_family import EmbeddingFamily

OPTIONS = ("quantization", "embedding_quantization")
IS_FILE = True

#: What a file has that is written without ``--quantization``.
DEFAULT_QUANTIZATION = "fp16"

_PLACES = ("encoder.embed_tokens", "decoder.embed_tokens", "decoder.output_embedding")


def write(trained: TrainedModel, output: Path, options: ExportOptions) -> None:
    """Write the file. See :class:`~fairseq_alone.export.targets.Target`."""
    for name in OPTIONS:
        value = getattr(options, name)
        if value is not None and value not in QUANTIZATIONS:
            flag = f"--{name.replace('_', '-')}"
            raise UserError(f"{flag} must be one of {', '.join(QUANTIZATIONS)} for a compact file, got {value}")
    quantization = options.quantization or DEFAULT_QUANTIZATION
    embedding = options.embedding_quantization or quantization
    metadata = {**model_metadata(trained), "rounded": _json(rounded(trained, quantization, embedding))}
    with replaced_on_success(str(output)) as part:
        write_compact_file(part, trained.model.state_dict(), metadata, quantization, embedding)


def rounded(trained: TrainedModel, *quantizations: str) -> list[str]:
    """All types that tensors are rounded to, once they are stored in these: nothing undoes an earlier rounding."""
    return sorted({*trained.rounded, *quantizations} - {"fp32"})


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
        "config": _json(trained.config),
        "text": _json(text),
        "decoding": _json(asdict(trained.decoding)),
        "embeddings": _json(embeddings(trained.model)),
    }
    # A dictionary that both languages share is there once.
    if source is not None and source != target:
        metadata["source_dictionary"] = source
    return {**metadata, "target_dictionary": target}


def embeddings(model: Any) -> dict[str, dict[str, Any]]:
    """What builds each embedding without fairseq, by the beginning of its tensors' names.

    Returns:
        ``{"encoder.embed_tokens": {"family": "alone", "settings": {...}}, "decoder.embed_tokens": {"same_as":
        "encoder.embed_tokens"}}``; ``settings`` is None for a family that only its plugin can build.
    """
    from fairseq_alone.models.conventional_family import ConventionalFamily

    family: type[EmbeddingFamily] = getattr(model, "family", ConventionalFamily)
    first: dict[int, str] = {}
    found: dict[str, dict[str, Any]] = {}
    modules = dict(model.named_modules(remove_duplicate=False))
    for place in _PLACES:
        embedding = modules.get(place)
        # Adaptive inputs of stock fairseq are several tables.
        if not isinstance(embedding, ComputedEmbedding | nn.Embedding):
            continue
        known = first.setdefault(id(embedding), place)
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
