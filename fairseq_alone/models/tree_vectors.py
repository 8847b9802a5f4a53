"""Vectors of a dictionary's words for a tree of them: from a file of vectors, or the embedding of a checkpoint."""

from argparse import Namespace
from typing import Any

import numpy as np
import torch
from fairseq.data import Dictionary
from torch import Tensor

from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.corpus.own_vector_file import SAFETENSORS_ENDING, read_sides, vectors_of_sides
from fairseq_alone.corpus.vector_file import read_binary_word_vectors, read_word_vectors
from fairseq_alone.errors import UserError
from fairseq_alone.model_settings import model_settings
from fairseq_alone.models.embedding_family import DECODER_STREAM, ENCODER_STREAM
from fairseq_alone.models.family_registry import FAMILIES

# Where the vectors of the words that a model predicts are; a checkpoint has a tied embedding under the first name only.
_PLACES = {"decoder.embed_tokens.": DECODER_STREAM, "encoder.embed_tokens.": ENCODER_STREAM}


def read_tree_vectors(path: str, dictionary: Dictionary) -> np.ndarray:
    """Read the vectors of a dictionary's words, (V, D), float32; zeros for a word without one.

    Args:
        path: ends in .bin (word2vec's binary form), .safetensors (of ``fairseq-alone corpus-vectors``) or .pt (a
            checkpoint of this package or of stock fairseq, of the same vocabulary); any other is word2vec's text.
        dictionary: V words.

    Raises:
        UserError: the file is damaged, is of another kind, or of another vocabulary; names it.
    """
    if path.endswith(".pt"):
        return _of_checkpoint(path, dictionary)
    if path.endswith(SAFETENSORS_ENDING):
        return vectors_of_sides(path, read_sides(path), dictionary)[0].vectors
    read = read_binary_word_vectors if path.endswith(".bin") else read_word_vectors
    return read(path, dictionary)[0].numpy()


@torch.no_grad()
def _of_checkpoint(path: str, dictionary: Dictionary) -> np.ndarray:
    checkpoint = load_checkpoint(path)
    state: dict[str, Tensor] = checkpoint["model"]
    for place, stream in _PLACES.items():
        tensors = {name.removeprefix(place): tensor for name, tensor in state.items() if name.startswith(place)}
        described = {family: family.describe(tensors) for family in FAMILIES.values()} if tensors else {}
        for family, description in described.items():
            if description is None:
                continue
            if description["vocabulary"] != len(dictionary):
                raise UserError(
                    f"--hierarchical-vectors {path}: has vectors of {description['vocabulary']} words, but this "
                    f"vocabulary has {len(dictionary)}; a checkpoint must be of the same one"
                )
            # What is drawn here is replaced; the training draws as if nothing had happened.
            with torch.random.fork_rng(devices=[]):
                args = Namespace(**model_settings(checkpoint))
                embedding: Any = family.build(args, dictionary, description["embed_dim"], stream)
            try:
                embedding.load_state_dict(
                    {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
                )
            except (RuntimeError, ValueError) as error:
                raise UserError(f"--hierarchical-vectors {path}: its embedding does not fit: {error}") from error
            found: np.ndarray = embedding.eval().matrix().numpy()
            return found
    raise UserError(f"--hierarchical-vectors {path}: has no embedding of the words that it predicts")
