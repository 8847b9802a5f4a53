"""A tree of words by their vectors: similar words have most of their paths in common."""

import numpy as np

from fairseq_alone.modules.word_tree import balanced_tree

# More directions of the vectors than these change a tree little, and cost time.
_MOST_DIRECTIONS = 64
_STEPS = 4  # of a power iteration for each cut
_SEED = 1


def cluster_tree(vectors: np.ndarray) -> np.ndarray:
    """Cut the words in two halves again and again, each time across the direction in which they differ most.

    The recursive partition of Mnih and Hinton (2008, section 4), where two Gaussians are fitted to each set of words;
    here the two halves are equal (their "balanced" trees) and the direction is the first principal component, found for
    all sets of one level at once.

    Args:
        vectors: (V, D), float32, V at least 2. Words whose vectors are zero are none that is known: they have a subtree
            of their own, by their order.

    Returns:
        A tree as in :mod:`~fairseq_alone.modules.word_tree`. Paths have log2(V) nodes, with unknown words one more.

    Raises:
        SettingError: there are less than two words.
    """
    known = vectors.any(1)
    if known.all() or not known.any():
        return _bisected(vectors) if known.any() else balanced_tree(len(vectors))
    parts = [
        _of_words(np.flatnonzero(chosen), _bisected(vectors[chosen]) if own else None)
        for chosen, own in ((known, True), (~known, False))
    ]
    # The root, then the nodes of both parts; a part of one word is that word.
    root, nodes, first = np.empty((1, 2), np.int32), [], 1
    for side, (words, tree) in enumerate(parts):
        if tree is None:
            root[0, side] = ~words[0]
            continue
        root[0, side] = first
        nodes.append(np.where(tree < 0, ~words[np.where(tree < 0, ~tree, 0)], tree + first).astype(np.int32))
        first += len(tree)
    return np.concatenate([root, *nodes])


def _of_words(words: np.ndarray, tree: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Words with their tree, by default a balanced one; one word has none."""
    if len(words) == 1:
        return words, None
    return words, balanced_tree(len(words)) if tree is None else tree


def _bisected(vectors: np.ndarray) -> np.ndarray:
    """The tree of words (N, D), whose numbers are 0 to N - 1; empty for one word."""
    num_words = len(vectors)
    values = _strongest(vectors)
    generator = np.random.Generator(np.random.PCG64(_SEED))
    children = np.empty((num_words - 1, 2), np.int32)
    words = np.arange(num_words)  # in the order of the tree so far
    # The sets that are to be cut: where each begins in that order, how many words it has, and which node it is.
    starts, sizes, nodes = np.zeros(1, np.int64), np.array([num_words]), np.zeros(1, np.int64)
    made = 1
    while starts.size and num_words > 1:
        _sort_sets(words, starts, sizes, values, generator)
        halves = np.stack([(sizes + 1) // 2, sizes // 2], 1)  # (sets, 2)
        firsts = np.stack([starts, starts + halves[:, 0]], 1)
        inner = halves > 1
        names = np.where(inner, made - 1 + inner.reshape(-1).cumsum().reshape(-1, 2), ~words[firsts])
        children[nodes] = names
        made += int(inner.sum())
        starts, sizes, nodes = firsts[inner], halves[inner], names[inner]
    return children


def _strongest(vectors: np.ndarray) -> np.ndarray:
    """The vectors (N, D) along their strongest directions, centred: (N, at most 64)."""
    centred = vectors - vectors.mean(0, dtype=np.float64).astype(np.float32)
    _, directions = np.linalg.eigh((centred.T @ centred).astype(np.float64))  # ascending
    return centred @ directions[:, -_MOST_DIRECTIONS:].astype(np.float32)


def _sort_sets(
    words: np.ndarray, starts: np.ndarray, sizes: np.ndarray, values: np.ndarray, generator: np.random.Generator
) -> None:
    """Sort the words of each set, in place, along the set's first principal component.

    Args:
        words: (N,), in sets of consecutive words.
        starts, sizes: (sets,). Sizes differ by one at most, so that all sets fit into one array.
        values: (N, D), of words.
        generator: of the directions that the search begins with.
    """
    columns = np.arange(sizes.max())
    inside = columns < sizes[:, None]  # (sets, longest)
    places = np.where(inside, starts[:, None] + columns, starts[:, None])
    rows = values[words[places]] * inside[..., None]  # (sets, longest, D)
    rows -= (rows.sum(1) / sizes[:, None])[:, None] * inside[..., None]
    directions = np.broadcast_to(generator.standard_normal(values.shape[1], np.float32), (len(sizes), values.shape[1]))
    for _ in range(_STEPS):
        along = rows @ directions[..., None]  # (sets, longest, 1)
        directions = (rows.transpose(0, 2, 1) @ along)[..., 0]
        length = np.linalg.norm(directions, axis=1, keepdims=True)
        # Where all words are alike, any order will do.
        directions = directions / np.maximum(length, np.finfo(np.float32).tiny)
    along = (rows @ directions[..., None])[..., 0]
    order = np.where(inside, along, np.inf).argsort(1, kind="stable")
    words[places[inside]] = np.take_along_axis(words[places], order, 1)[inside]
