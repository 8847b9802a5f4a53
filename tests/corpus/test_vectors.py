"""Vectors from counts against numpy's decomposition of the whole matrix."""

import numpy as np
import pytest
from made_up import loop, pair, text
from scipy import sparse

from fairseq_alone.corpus.cooccurrence import count
from fairseq_alone.corpus.text import Corpus, Text
from fairseq_alone.corpus.vectors import VectorSettings, positive_pmi, standardized, strongest_directions, vectors
from fairseq_alone.errors import SettingError


def pmi(counts, power):
    """Entry by entry."""
    found, contexts = np.zeros_like(counts), counts.sum(0) ** power
    for word in range(len(counts)):
        for context in range(counts.shape[1]):
            if counts[word, context]:
                of_word, of_context = counts[word].sum() / counts.sum(), contexts[context] / contexts.sum()
                together = counts[word, context] / counts.sum()
                found[word, context] = max(0, np.log(together / (of_word * of_context)))
    return found


@pytest.mark.parametrize("power", [0.75, 1.0])
def test_positive_pmi_by_hand_and_by_a_loop(power):
    counts = np.array([[4.0, 0, 1], [0, 2, 1], [0, 0, 0]])
    found = positive_pmi(sparse.csr_array(counts), power).toarray()
    np.testing.assert_allclose(found, pmi(counts, power), atol=1e-6)
    if power == 1:
        # p(first, first) = 4/8, p(first) = 5/8 as a word and 4/8 as a context.
        assert found[0, 0] == pytest.approx(np.log((4 / 8) / (5 / 8 * 4 / 8)), rel=1e-6)
        assert found[0, 2] == 0  # less often than by chance


def test_counts_of_nothing_have_no_information():
    assert positive_pmi(sparse.csr_array((3, 3)), 0.75).nnz == 0


@pytest.mark.parametrize(("across", "singular_power"), [(True, 0.5), (False, 0.5), (True, 0.0), (True, 1.0)])
@pytest.mark.parametrize("joined", [True, False])
def test_vectors_are_the_strongest_directions(joined, across, singular_power, monkeypatch):
    # These words have many directions of nearly one strength, unlike those of a language.
    monkeypatch.setattr("fairseq_alone.corpus.vectors._POWER_STEPS", 40)
    corpus = pair(joined, lines=200)
    settings = VectorSettings(4, across=across, singular_power=singular_power, window=3)
    found = vectors(count(corpus, 3), settings)
    right, other, _ = loop(corpus, 3, range(200))
    blocks = [right.T, right, other] if across else [right.T, right]
    information = np.hstack([pmi(block, 0.75) for block in blocks])
    directions, strengths, _ = np.linalg.svd(information)
    expected = directions[:, :4] * strengths[:4] ** singular_power
    # Signs are free: compare what each direction gives to the products.
    for direction in range(4):
        products = [np.outer(values[:, direction], values[:, direction]) for values in (found, expected)]
        np.testing.assert_allclose(*products, atol=2e-3 * np.abs(products[1]).max())
    assert found.dtype == np.float32


@pytest.mark.parametrize("shape", [(30, 80), (80, 30), (12, 12)])
def test_strongest_directions_of_a_matrix_with_falling_strengths(shape):
    generator = np.random.default_rng(1)
    left, right = (np.linalg.qr(generator.normal(size=(size, 12))).Q for size in shape)
    matrix = sparse.csr_array(((left * 0.7 ** np.arange(12)) @ right.T).astype(np.float32))
    directions, strengths = strongest_directions(matrix, 8, seed=1)
    np.testing.assert_allclose(strengths, 0.7 ** np.arange(8), rtol=1e-4)
    np.testing.assert_allclose(np.abs(directions.T @ left[:, :8]), np.eye(8), atol=1e-3)
    assert (directions.max(0) > -directions.min(0)).all()
    again = strongest_directions(matrix, 8, seed=1)
    assert np.array_equal(again[0], directions)


@pytest.mark.parametrize("dim", [4, 30])
def test_words_without_counts_have_zeros(dim):
    known = text(vocabulary=12)
    corpus = Corpus((Text(known.sentences, 40, [], 0),))
    found = vectors(count(corpus, 2), VectorSettings(dim))
    assert found[:12].any(1).all()
    assert not found[12:].any()


def test_more_values_than_directions_are_zeros():
    found = vectors(count(Corpus((text(),)), 2), VectorSettings(40))
    assert found.shape == (12, 40)
    assert (found[:, 12:] == 0).all()
    assert np.abs(found[:, :6]).max() > 0.1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dim": 0}, "dim must be at least 1"),
        ({"window": 0}, "window must be at least 1"),
        ({"power": 0.0}, "power must be greater than 0"),
        ({"power": 1.1}, "power must be greater than 0 and at most 1"),
        ({"singular_power": -0.5}, "singular_power must be at least 0"),
        ({"singular_power": float("nan")}, "singular_power must be at least 0"),
        ({"samples": -1}, "samples must be at least 0"),
    ],
)
def test_settings_out_of_range(settings, words):
    with pytest.raises(SettingError, match=words):
        VectorSettings(**{"dim": 3, **settings})


def test_standardized_by_hand():
    given = np.array([[3, 0], [0, 0], [0, 0.5], [0, 0]], np.float32)
    found = standardized(given, 0.25, seed=1)
    # Unit length: (1, 0) and (0, 1); without their mean (0.5, -0.5) and (-0.5, 0.5); standard deviation 0.5 -> 0.25.
    np.testing.assert_allclose(found[[0, 2]], [[0.25, -0.25], [-0.25, 0.25]], atol=1e-7)
    # Words without a vector get different ones, and the same ones again.
    assert not np.array_equal(found[1], found[3])
    assert np.array_equal(found, standardized(given, 0.25, seed=1))
    assert not np.array_equal(found[1], standardized(given, 0.25, seed=2)[1])
    assert given[0, 0] == 3
    assert found.dtype == np.float32


def test_standardized_scale():
    given = np.random.default_rng(1).normal(3, 2, (2000, 16)).astype(np.float32)
    given[::2] = 0
    found = standardized(given, 0.25, seed=1)
    for words in (found[1::2], found[::2]):
        assert words.std() == pytest.approx(0.25, rel=0.02)
        assert np.abs(words.mean(0)).max() < 0.03


@pytest.mark.parametrize("given", [np.zeros((3, 2)), np.ones((3, 2))])
def test_standardized_of_no_information(given):
    found = standardized(given.astype(np.float32), 0.5, seed=1)
    assert np.isfinite(found).all()
