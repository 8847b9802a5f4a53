"""Trees of words: their paths by hand and by plain loops, and clusters of words that are alike."""

import heapq

import numpy as np
import pytest

from fairseq_alone.errors import SettingError
from fairseq_alone.modules.word_clusters import cluster_tree
from fairseq_alone.modules.word_tree import (
    balanced_tree,
    huffman_tree,
    levels_of,
    numbered_by_count,
    paths_of,
)


def walk(children):
    """The path of each word as a list of (node, sign), by recursion."""
    found = {}

    def descend(child, path):
        if child < 0:
            assert ~child not in found
            found[~child] = path
        else:
            for side, sign in enumerate((1, -1)):
                descend(int(children[child, side]), [*path, (child, sign)])

    descend(0, [])
    return [found[word] for word in range(len(children) + 1)]


def cost(counts, children):
    return sum(count * len(path) for count, path in zip(counts, walk(children), strict=True))


def best_cost(counts):
    """That of a Huffman tree, with a heap."""
    heap, total = list(counts), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        total += merged
        heapq.heappush(heap, merged)
    return total


def test_a_huffman_tree_by_hand():
    # 1 + 1 = 2, then 2 (the word, first) + 2 = 4, then 4 + 7 = 11; the root is node 0.
    assert huffman_tree(np.array([7, 1, 2, 1])).tolist() == [[1, ~0], [~2, 2], [~1, ~3]]


@pytest.mark.parametrize("seed", range(5))
def test_a_huffman_tree_has_the_shortest_paths_whatever_the_order(seed):
    counts = np.random.default_rng(seed).integers(0, 30, 70)
    children = huffman_tree(counts)
    assert cost(counts.tolist(), children) == best_cost(counts.tolist())
    shuffled = np.random.default_rng(seed + 1).permutation(counts)
    assert cost(shuffled.tolist(), huffman_tree(shuffled)) == best_cost(counts.tolist())


def test_among_the_shortest_the_one_whose_longest_path_is_shortest():
    # All words alike, none of them ever seen: a merge of words before one of nodes keeps the tree balanced.
    assert len(levels_of(huffman_tree(np.zeros(64, np.int64)))) == 6
    # 1 1 2 2: with nodes first the longest path would have three nodes.
    assert len(levels_of(huffman_tree(np.array([1, 1, 2, 2])))) == 2


@pytest.mark.parametrize("size", [2, 3, 4, 5, 8, 21])
def test_a_balanced_tree(size):
    lengths = [len(path) for path in walk(balanced_tree(size))]
    assert max(lengths) - min(lengths) <= 1
    assert lengths == sorted(lengths)


@pytest.mark.parametrize("seed", range(3))
def test_nodes_are_numbered_by_how_often_they_are_passed(seed):
    counts = np.random.default_rng(seed).integers(0, 9, 40)
    for children in (balanced_tree(40), huffman_tree(counts)):
        tree = numbered_by_count(children, counts)
        assert [[sign for _, sign in path] for path in walk(tree.children)] == [
            [sign for _, sign in path] for path in walk(children)
        ]
        passed = np.zeros(39, int)
        for word, path in enumerate(walk(tree.children)):
            # The root is the first, and each node comes before those below.
            nodes = [node for node, _ in path]
            assert nodes[0] == 0
            assert nodes == sorted(nodes)
            passed[nodes] += counts[word]
        assert tree.counts.tolist() == passed.tolist() == sorted(passed, reverse=True)


def test_paths_are_those_of_a_walk():
    counts = np.random.default_rng(4).integers(0, 99, 33)
    children = huffman_tree(counts)
    paths = paths_of(children)
    for word, path in enumerate(walk(children)):
        entries = slice(paths.starts[word], paths.starts[word + 1])
        assert list(zip(paths.nodes[entries].tolist(), paths.signs[entries].tolist(), strict=True)) == path


@pytest.mark.parametrize(
    "children",
    [[[~0, ~1], [~2, ~3]], [[1, ~0], [1, ~1]], [[1, ~0], [~1, ~1]], [[1, ~0], [2, ~1], [~2, ~4]]],
    ids=["two roots", "a circle", "a word twice", "a word that is none"],
)
def test_what_is_no_tree_is_refused(children):
    with pytest.raises(ValueError, match="no binary tree of words"):
        paths_of(np.array(children, np.int32))


def test_nodes_that_are_not_below_the_root_are_refused():
    with pytest.raises(ValueError, match="not below the root"):
        levels_of(np.array([[~0, ~1], [2, ~2], [1, ~3]], np.int32))


def test_sizes_and_counts_out_of_range():
    with pytest.raises(SettingError, match="at least 2"):
        balanced_tree(1)
    with pytest.raises(SettingError, match="at least 0, got -1"):
        huffman_tree(np.array([1, -1]))


def clustered():
    """Eight clusters of eight words each, shuffled: which cluster each word is in, and vectors."""
    generator = np.random.default_rng(1)
    cluster = generator.permutation(np.arange(64) % 8)
    centres = np.array([[x, y, z] for x in (-27, 27) for y in (-9, 9) for z in (-3, 3)], np.float32)
    vectors = 0.5 * generator.standard_normal((64, 64)).astype(np.float32)
    vectors[:, :3] += centres[cluster]
    return cluster, vectors


def test_words_that_are_alike_share_most_of_their_paths():
    cluster, vectors = clustered()
    paths = walk(cluster_tree(vectors))
    assert {len(path) for path in paths} == {6}
    for number in range(8):
        # The first three cuts go across the three directions, and all words of a cluster go one way at each.
        nodes = [{path[depth] for path, own in zip(paths, cluster, strict=True) if own == number} for depth in range(3)]
        assert [len(found) for found in nodes] == [1, 1, 1]


def test_words_without_a_vector_have_a_subtree_of_their_own():
    _, vectors = clustered()
    unknown = [3, 10, 63]
    vectors[unknown] = 0
    paths = walk(cluster_tree(vectors))
    assert {word for word, path in enumerate(paths) if path[0] == (0, -1)} == set(unknown)


@pytest.mark.parametrize("known", [0, 1, 2, 63, 64])
def test_any_number_of_words_may_have_a_vector(known):
    _, vectors = clustered()
    vectors[known:] = 0
    assert len(walk(cluster_tree(vectors))) == 64


def test_words_that_are_all_alike():
    assert len(walk(cluster_tree(np.ones((20, 5), np.float32)))) == 20
    assert np.array_equal(cluster_tree(clustered()[1]), cluster_tree(clustered()[1]))
