"""Binary trees whose leaves are the words of a vocabulary: how they are made, numbered and walked.

A tree of V words is an array of children, (V - 1, 2), int32: a row for each node, its left and its right child. A child
of at least 0 is a node; a negative one is a word, ``~word``. Node 0 is the root.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from fairseq_alone.errors import SettingError


def huffman_tree(counts: np.ndarray) -> np.ndarray:
    """The tree with the shortest mean path (Huffman, 1952; as output layer Mikolov et al., 2013, section 2.1).

    Args:
        counts: (V,), how often each word occurs, at least 0. The order of the words does not matter.

    Returns:
        (V - 1, 2), int32. Among trees with the shortest mean path it is one whose longest path is shortest.

    Raises:
        SettingError: there are less than two words, or a count is negative.
    """
    _require_words(len(counts))
    if counts.min() < 0:
        raise SettingError("counts", f"must be at least 0, got {counts.min()}")
    # Two queues, both sorted by count; what is merged is never less than what was merged before (van Leeuwen, 1976).
    words = np.argsort(counts, kind="stable")
    leaves = deque(zip(counts[words].tolist(), (~words).tolist(), strict=True))
    merged: deque[tuple[float, int]] = deque()
    children = np.empty((len(counts) - 1, 2), np.int32)
    for made in range(len(children)):
        total = 0.0
        for side in range(2):
            # A word before a node of the same count: this keeps the longest path short.
            queue = leaves if leaves and not (merged and merged[0][0] < leaves[0][0]) else merged
            count, child = queue.popleft()
            total += count
            children[made, side] = child
        merged.append((total, made))
    # The root was made last; it is to be the first.
    return _renumbered(children, np.arange(len(children))[::-1])


def balanced_tree(num_words: int) -> np.ndarray:
    """A tree whose paths differ by one node at most; the first words have the shorter ones.

    Args:
        num_words: V, at least 2.

    Raises:
        SettingError: there are less than two words.
    """
    _require_words(num_words)
    # Numbered level by level, a place k has its children at 2k + 1 and 2k + 2; words take the places behind all nodes.
    places = np.arange(1, 2 * num_words - 1).reshape(-1, 2)
    nodes = num_words - 1
    return np.where(places < nodes, places, ~(places - nodes)).astype(np.int32)


@dataclass(frozen=True)
class NumberedTree:
    """A tree whose nodes stand in the order of how often they are passed.

    Args:
        children: (V - 1, 2), int32; the root first, and every node before its children.
        counts: (V - 1,), how often the words below each node occur, falling.
    """

    children: np.ndarray
    counts: np.ndarray


def numbered_by_count(children: np.ndarray, counts: np.ndarray) -> NumberedTree:
    """The same tree with other numbers of nodes, so that the first are those with the most frequent words below.

    Args:
        children: (V - 1, 2), int32.
        counts: (V,), of the words, at least 0.
    """
    passed = np.zeros(len(children), counts.dtype)
    depths = np.zeros(len(children), np.int64)
    levels = levels_of(children)
    for depth in range(len(levels) - 1, -1, -1):
        nodes = levels[depth]
        below = children[nodes]
        word, node = np.where(below < 0, ~below, 0), np.where(below < 0, 0, below)
        passed[nodes] = np.where(below < 0, counts[word], passed[node]).sum(1)
        depths[nodes] = depth
    order = np.lexsort((depths, -passed))
    return NumberedTree(_renumbered(children, order), passed[order])


def levels_of(children: np.ndarray) -> list[np.ndarray]:
    """The nodes of each level, the root's first. Those of the next are the children of one in the order left, right.

    Raises:
        ValueError: this is no tree whose leaves are all words once.
    """
    num_words = len(children) + 1
    reached = np.sort(children.reshape(-1))
    # Each word and each node but the root is a child once.
    if children.shape != (num_words - 1, 2) or not np.array_equal(reached, np.r_[-num_words:0, 1 : num_words - 1]):
        raise ValueError("this is no binary tree of words")
    levels, nodes = [], np.zeros(1, np.int64)
    while nodes.size:
        levels.append(nodes)
        below = children[nodes].T.reshape(-1)  # all left children, then all right ones
        nodes = below[below >= 0].astype(np.int64)
    if sum(map(len, levels)) != num_words - 1:
        raise ValueError("this is no binary tree of words: some nodes are not below the root")
    return levels


@dataclass(frozen=True)
class Paths:
    """The ways from the root to all words, one behind the other: the entries of word w are ``starts[w]:starts[w + 1]``.

    Args:
        starts: (V + 1,), int64.
        nodes: (P,), int32: the nodes that are passed, the root first.
        signs: (P,), int8: 1 where the way goes on to the left, -1 to the right.
    """

    starts: np.ndarray
    nodes: np.ndarray
    signs: np.ndarray


def paths_of(children: np.ndarray) -> Paths:
    """The paths of all words of a tree. Raises ValueError: see :func:`levels_of`."""
    num_words = len(children) + 1
    levels = levels_of(children)
    node_depths = np.empty(num_words - 1, np.int64)
    for depth, nodes in enumerate(levels):
        node_depths[nodes] = depth
    # Of words and nodes: what is above, and on which side of it one is. Words stand behind the nodes.
    places = np.where(children < 0, num_words - 1 + ~children, children)
    above = np.zeros(2 * num_words - 1, np.int32)
    side = np.zeros(2 * num_words - 1, np.int8)
    for column, sign in enumerate((1, -1)):
        above[places[:, column]] = np.arange(num_words - 1)
        side[places[:, column]] = sign
    at = np.arange(num_words - 1, 2 * num_words - 1)
    lengths = node_depths[above[at]] + 1
    starts = np.zeros(num_words + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    nodes, signs = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.int8)
    entries = starts[1:].copy()
    # All words climb one node at a time; those that are at the root are done.
    while at.size:
        entries -= 1
        nodes[entries], signs[entries] = above[at], side[at]
        going = above[at] > 0
        at, entries = above[at][going].astype(np.int64), entries[going]
    return Paths(starts, nodes, signs)


def _renumbered(children: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The same tree, whose node ``order[k]`` is called k."""
    names = np.empty(len(order), np.int32)
    names[order] = np.arange(len(order))
    moved = children[order]
    return np.where(moved < 0, moved, names[np.where(moved < 0, 0, moved)]).astype(np.int32)


def _require_words(num_words: int) -> None:
    if num_words < 2:
        raise SettingError("num_words", f"must be at least 2 for a tree, got {num_words}")
