"""Trees of a dictionary's words: by its counts, or by word vectors."""

import os
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch
from fairseq.data import Dictionary
from fairseq.data.data_utils import infer_language_pair
from torch import Tensor

from fairseq_alone.errors import UserError
from fairseq_alone.models.tree_vectors import read_tree_vectors
from fairseq_alone.modules.word_clusters import cluster_tree
from fairseq_alone.modules.word_tree import balanced_tree, huffman_tree, numbered_by_count

#: What ``--hierarchical-tree`` takes, its default first.
TREES = ("huffman", "balanced", "clusters")

_NOT_WORDS = (
    "--output-layer hierarchical does not work with an embedding that is made of words, or of a file about them: the "
    "nodes of its tree are not words"
)


@dataclass(frozen=True)
class WordTree:
    """A tree of V words.

    Args:
        children: (V - 1, 2), int32, see :mod:`fairseq_alone.modules.word_tree`.
        counts: how often the words below each node occur, falling.
        awaits: why this is not the tree that was asked for, a sentence; the one of a checkpoint is to take its place.
    """

    children: Tensor
    counts: list[int]
    awaits: str | None = None


class NodeDictionary:
    """The nodes of a tree, for a family that builds an embedding of them: all that is known of them is their counts.

    Args:
        counts: of each node, falling.
    """

    nspecial = 0

    def __init__(self, counts: list[int]):
        self.count = counts

    def __len__(self) -> int:
        return len(self.count)

    def pad(self) -> None:
        """No node is padding."""

    @property
    def symbols(self) -> NoReturn:
        """Raises UserError: nodes have no spelling, so an embedding that needs one cannot be that of nodes."""
        raise UserError(_NOT_WORDS)

    @property
    def indices(self) -> NoReturn:
        """As :attr:`symbols`."""
        raise UserError(_NOT_WORDS)

    def __getitem__(self, node: int) -> NoReturn:
        """As :attr:`symbols`."""
        raise UserError(_NOT_WORDS)


def tree_of_words(args: Any, kind: str, dictionary: Dictionary) -> WordTree:
    """Build a tree.

    A dictionary that says nothing of how often words occur gives no Huffman tree, and vectors that are not there no
    clusters: then the tree is balanced, and must not be used, because a model that is loaded has its own.

    Args:
        args: the model's flags.
        kind: one of :data:`TREES`.
        dictionary: V words; padding has a leaf, too.

    Raises:
        UserError: the file of vectors is damaged or does not fit.
    """
    counts, awaits = word_counts(dictionary), None
    children = None
    if kind == "huffman":
        awaits = _says_nothing(args, dictionary)
        children = None if awaits else huffman_tree(counts)
    elif kind == "clusters":
        path = getattr(args, "hierarchical_vectors", None)
        if path is None:
            awaits = "--hierarchical-tree clusters needs --hierarchical-vectors FILE"
        elif not os.path.exists(path):
            awaits = f"--hierarchical-vectors {path}: there is no such file"
        else:
            children = cluster_tree(read_tree_vectors(path, dictionary))
    tree = numbered_by_count(balanced_tree(len(counts)) if children is None else children, counts)
    return WordTree(torch.from_numpy(tree.children), tree.counts.tolist(), awaits)


def word_counts(dictionary: Dictionary) -> np.ndarray:
    """How often each word occurs, (V,), int64, as well as a dictionary tells.

    It does not count the ends of sentences: there are about as many as of its most frequent word, which for most texts
    is the full stop. Padding and beginnings of sentences are never predicted.
    """
    counts = np.array(dictionary.count[: len(dictionary)], dtype=np.int64)
    counts[dictionary.eos()] = max(counts[dictionary.eos()], counts[dictionary.nspecial :].max(initial=1))
    counts[[dictionary.pad(), dictionary.bos()]] = 0
    return counts


def _says_nothing(args: Any, dictionary: Dictionary) -> str | None:
    """A sentence about a dictionary whose counts tell no word from another, or are none; else None."""
    counts = np.array(dictionary.count[dictionary.nspecial : len(dictionary)])
    if counts.size < 2 or (counts.min() >= 0 and counts.min() < counts.max()):
        return None
    problem = f"has the count {counts[0]} for every word" if counts.min() >= 0 else f"has the count {counts.min()}"
    return (
        f"--hierarchical-tree huffman needs the counts of words, but {_name_of(args, dictionary)} {problem}; make it "
        "with fairseq-preprocess, or give --hierarchical-tree balanced"
    )


def _name_of(args: Any, dictionary: Dictionary) -> str:
    """The file of a dictionary, where the flags tell it."""
    folder = str(getattr(args, "data", None) or "").split(os.pathsep)[0]
    lang = getattr(args, "target_lang", None)
    if lang is None and os.path.isdir(folder):
        # As fairseq's task finds it where no flag tells.
        lang = infer_language_pair(folder)[1]
    path = os.path.join(folder, f"dict.{lang}.txt" if lang else "dict.txt")
    return path if os.path.isfile(path) else "the dictionary"
