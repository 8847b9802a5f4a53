"""Embeddings of a new model that begin with given word vectors: learned from the training data, or read from a file."""

import contextlib
import logging
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.tasks import FairseqTask
from torch import Tensor, nn
from tqdm import tqdm

from fairseq_alone.corpus.binarized import read_corpus
from fairseq_alone.corpus.learning import WordVectors, learn_once, sampled_lines
from fairseq_alone.corpus.own_vector_file import SAFETENSORS_ENDING, read_sides, vectors_of_sides
from fairseq_alone.corpus.vector_file import coverage, read_word_vectors
from fairseq_alone.corpus.vectors import VectorSettings, standardized
from fairseq_alone.errors import UserError
from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.models.output_layers import embedding_family_at, has_word_vectors

logger = logging.getLogger(__name__)

#: ``--embedding-init`` without vectors, and with those of the training data.
RANDOM, CORPUS = "random", "corpus"

# Of the vectors of words that have none.
_SEED = 1

_PLACES = ("encoder.embed_tokens", "decoder.embed_tokens", "decoder.output_embedding", "decoder.output_projection")


def add_starting_args(parser: ArgumentParser) -> None:
    """Add ``--embedding-init`` and ``--corpus-lines``."""
    # fmt: off
    parser.add_argument("--embedding-init", metavar="WHAT", default=RANDOM,
                        help="what the embeddings of a new model begin with: random values, vectors that are learned "
                             "from the training data (corpus), or a FILE of vectors; a training that goes on has its "
                             "own; default: random")
    parser.add_argument("--corpus-lines", type=int, metavar="N", default=VectorSettings.samples,
                        help="with --embedding-init corpus: lines that the vectors are learned from, evenly spaced; 0 "
                             f"is all; default: {VectorSettings.samples}")
    # fmt: on


def start_embeddings(model: Any, args: Any, task: FairseqTask) -> None:
    """Give the embeddings of a model the vectors that ``--embedding-init`` asks for.

    Args:
        model: a new model of this package, on any device, in any floating type.
        args: its flags.
        task: translation or language modelling.

    Raises:
        UserError: the file or the data does not have what is needed.
    """
    if not wants_vectors(model, args):
        return
    what = _what(args)
    family: type[EmbeddingFamily] = model.family
    asked = family.wants_vectors(args) if what == RANDOM else f"--embedding-init {what}"
    places = [(place, module) for place, module in embeddings_of(model) if has_word_vectors(model, place)]
    dim = max(embedding_dim(module) for _, module in places)
    began = time.perf_counter()
    # A language model's dictionaries are one, of which the output layer may have the first words only.
    own: Any = task
    one = not hasattr(model, "encoder") or own.source_dictionary is own.target_dictionary
    dictionaries = [own.source_dictionary] if one else [own.source_dictionary, own.target_dictionary]
    sides = _learned(args, task, dim, asked) if what in (RANDOM, CORPUS) else _read(what, dictionaries, dim)
    for place, module in places:
        family = embedding_family_at(model, place)
        words = sides[0] if place.startswith("encoder.") else sides[-1]
        if what != RANDOM:
            explained = start(family, module, words)
            logger.info(f"{place} starts with {100 * explained:.1f} % of the variance of the vectors of {what}")
        elif not isinstance(module, nn.Linear):
            with _on_cpu(module):
                family.learn_codes(module, *_vectors(module, words))
    logger.info(f"the start took {time.perf_counter() - began:.1f} s")


def wants_vectors(model: Any, args: Any) -> bool:
    """Whether the embeddings of a new model begin with vectors, or with something that is learned from vectors."""
    family = getattr(model, "family", None)
    return family is not None and (_what(args) != RANDOM or family.wants_vectors(args) is not None)


def _what(args: Any) -> str:
    return getattr(args, "embedding_init", None) or RANDOM


@torch.no_grad()
def start(family: type[EmbeddingFamily], module: Any, words: WordVectors) -> float:
    """Begin one embedding, or an output layer of fairseq's, with vectors.

    Args:
        family: that of the embedding.
        module: it, of V words and D_e values or fewer than the vectors have.
        words: vectors (V, D) or more, the strongest directions first.

    Returns:
        The share of the vectors' variance that the embedding has, each word counting as often as it occurs: from
        negative to 1.
    """
    return start_from_matrix(family, module, *_vectors(module, words))


@torch.no_grad()
def start_from_matrix(family: type[EmbeddingFamily], module: Any, vectors: Tensor, weights: Tensor) -> float:
    """Begin one embedding, or an output layer of fairseq's, with the vectors of its words as they are.

    Args:
        family: that of the embedding.
        module: it, on any device, in any floating type.
        vectors: (V, D_e), float32, on the CPU.
        weights: (V,), float32: how often each word occurs.

    Returns:
        See :func:`start`.
    """
    if isinstance(module, nn.Linear):
        module.weight.copy_(vectors)
        return 1.0
    with _on_cpu(module):
        with torch.enable_grad():
            family.start_from(module, vectors, weights)
        return variance_explained(module.eval().matrix(), vectors, weights)


def _vectors(module: Any, words: WordVectors) -> tuple[Tensor, Tensor]:
    """Standardised vectors (V, D_e) of an embedding's words, and how often each word occurs, (V,)."""
    linear = isinstance(module, nn.Linear)
    rows = module.out_features if linear else module.num_embeddings
    dim = embedding_dim(module)
    vectors = torch.from_numpy(standardized(words.vectors[:rows, :dim], dim**-0.5, _SEED))
    return vectors, torch.from_numpy(words.frequency[:rows]).float()


@contextlib.contextmanager
def _on_cpu(module: nn.Module) -> Iterator[None]:
    """An embedding on a CPU in float32 for a while; random numbers that are drawn meanwhile count for nobody else."""
    kept = {name: (tensor.device, tensor.dtype) for name, tensor in module.state_dict().items()}
    first = next(iter(module.parameters()))
    device, dtype = first.device, first.dtype
    with torch.random.fork_rng(devices=[]):
        module.cpu().float()
        yield
        module.train().to(device=device, dtype=dtype)
    assert kept == {name: (tensor.device, tensor.dtype) for name, tensor in module.state_dict().items()}


def variance_explained(matrix: Tensor, vectors: Tensor, weights: Tensor) -> float:
    """``1 - error / variance``, both weighted sums of squares over words; (V, D) twice, (V,)."""
    share = weights.unsqueeze(1) / weights.sum()
    error = (share * (matrix - vectors).square()).sum()
    variance = (share * (vectors - (share * vectors).sum(0)).square()).sum()
    return 1.0 - (error / variance).item()


def embedding_dim(module: Any) -> int:
    """D_e of an embedding, or the size of the features of an output layer."""
    return module.in_features if isinstance(module, nn.Linear) else module.embedding_dim


def embeddings_of(model: Any) -> Iterator[tuple[str, Any]]:
    """Each embedding of a model once, by its first place, and fairseq's own output layer where it is not tied."""
    seen: set[int] = set()
    modules = dict(model.named_modules(remove_duplicate=False))
    for place in _PLACES:
        module = modules.get(place)
        if module is None or (place.endswith("output_projection") and not isinstance(module, nn.Linear)):
            continue
        tensors = {id(parameter) for parameter in module.parameters()}
        if not tensors & seen:
            yield place, module
        seen |= tensors


def _learned(args: Any, task: Any, dim: int, asked: str | None) -> tuple[WordVectors, ...]:
    # fairseq's older tasks, language modelling among them, have their settings under another name.
    settings = getattr(task, "cfg", None) or getattr(task, "args", None)
    data = getattr(settings, "data", None)
    if data is None:
        raise UserError(f"{asked} needs --task translation or language_modeling; give a FILE of vectors")
    lines = getattr(args, "corpus_lines", VectorSettings.samples)
    if lines < 0:
        raise UserError(f"--corpus-lines must be at least 0, got {lines}")
    source, target = getattr(settings, "source_lang", None), getattr(settings, "target_lang", None)
    dictionaries = (task.source_dictionary,) if source is None else (task.source_dictionary, task.target_dictionary)
    corpus = read_corpus(data, source, target, dictionaries)
    vectors = VectorSettings(dim, samples=lines)
    read = len(sampled_lines(corpus.num_lines, lines))
    with tqdm(total=read, desc="corpus vectors", unit="line", disable=None) as bar:
        return learn_once(corpus, vectors, data.split(":")[0], bar.update)


def _read(path: str, dictionaries: list[Dictionary], dim: int) -> tuple[WordVectors, ...]:
    found: list[WordVectors] = []
    sides = read_sides(path) if path.endswith(SAFETENSORS_ENDING) else None
    for dictionary in dictionaries:
        words, covered = _of_text(path, dictionary) if sides is None else vectors_of_sides(path, sides, dictionary)
        width = words.vectors.shape[1]
        if width < dim:
            raise UserError(f"--embedding-init {path}: has vectors of {width} values, the model needs {dim}")
        logger.info(f"{path} has vectors for {100 * coverage(covered, dictionary):.1f} % of the running words")
        found.append(words)
    return tuple(found)


def _of_text(path: str, dictionary: Dictionary) -> tuple[WordVectors, Tensor]:
    vectors, covered = read_word_vectors(path, dictionary)
    frequency = torch.tensor(dictionary.count, dtype=torch.float64)
    frequency[dictionary.pad()] = 0
    return WordVectors(vectors.numpy(), frequency.numpy()), covered
