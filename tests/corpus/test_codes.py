"""Codes and codebooks against least squares and by hand."""

import numpy as np
import pytest

from fairseq_alone.corpus import codes as codes_module
from fairseq_alone.corpus.codes import _chosen_again, codebooks_for, made_unique, residual_codes


@pytest.fixture
def points():
    """Vectors (60, 5) and weights (60,), of which two are zero."""
    generator = np.random.default_rng(1)
    weights = generator.integers(1, 30, 60).astype(float)
    weights[[3, 7]] = 0
    return generator.normal(size=(60, 5)).astype(np.float32), weights


def sums(codes, codebooks):
    return sum(codebooks[number, codes[:, number]] for number in range(codes.shape[1]))


def error(codes, codebooks, vectors, weights):
    return (weights[:, None] * (sums(codes, codebooks) - vectors) ** 2).sum()


def test_codebooks_are_the_least_squares_solution(points):
    vectors, weights = points
    codes = np.random.default_rng(2).integers(0, 4, (60, 3)).astype(np.int32)
    found = codebooks_for(codes, vectors, weights, 4)
    assert found.shape == (3, 4, 5)
    choices = np.zeros((60, 12))
    for word in range(60):
        for number in range(3):
            choices[word, 4 * number + codes[word, number]] = 1
    root = np.sqrt(weights)[:, None]
    best = np.linalg.lstsq(choices * root, vectors * root, rcond=None)[0]
    np.testing.assert_allclose(sums(codes, found), choices @ best, atol=1e-4)
    # The shortest of all solutions.
    np.testing.assert_allclose(found.reshape(12, 5), best, atol=1e-3)


def test_a_code_of_no_word_has_a_zero_vector(points):
    vectors, weights = points
    found = codebooks_for(np.zeros((60, 1), np.int32), vectors, weights, 2)
    np.testing.assert_allclose(found[0, 0], np.average(vectors, axis=0, weights=weights), atol=1e-4)
    assert np.abs(found[0, 1]).max() == 0


def test_residual_codes_find_what_sums_were_made_of():
    generator = np.random.default_rng(1)
    books = np.stack([scale * generator.normal(size=(3, 6)) for scale in (10.0, 1.0)])
    true = generator.integers(0, 3, (200, 2))
    vectors = sums(true, books).astype(np.float32)
    codes, found = residual_codes(vectors, np.ones(200), 2, 3, seed=1)
    np.testing.assert_allclose(sums(codes, found), vectors, atol=1e-3)
    assert codes.dtype == np.int32
    assert found.dtype == np.float32
    # Each found code is another name of a true one.
    assert len({(a, b) for a, b in zip(codes[:, 0], true[:, 0], strict=True)}) == 3


def test_more_codebooks_come_nearer_and_the_last_fit_helps(points):
    vectors, weights = points
    errors = [error(*residual_codes(vectors, weights, books, 4, 1), vectors, weights) for books in (1, 2, 4)]
    assert errors[0] > errors[1] > errors[2]
    again = [residual_codes(vectors, weights, 2, 4, 1) for _ in range(2)]
    assert np.array_equal(again[0][0], again[1][0])
    assert np.array_equal(again[0][1], again[1][1])


def test_frequent_words_come_nearer(points):
    vectors, _ = points
    weights = np.where(np.arange(60) < 6, 1000.0, 1.0)
    errors = [
        np.linalg.norm((sums(*residual_codes(vectors, w, 1, 8, 1)) - vectors)[:6]) for w in (weights, np.ones(60))
    ]
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize("words", [2, 5])
def test_more_vectors_of_a_codebook_than_words(words, points):
    vectors, _ = points
    codes, found = residual_codes(vectors[:words], np.ones(words), 2, 8, 1)
    assert found.shape == (2, 8, 5)
    np.testing.assert_allclose(sums(codes, found), vectors[:words], atol=1e-3)


def test_words_that_never_occur_get_codes(points):
    vectors, weights = points
    weights[:] = 0
    weights[:3] = 1
    codes, found = residual_codes(vectors, weights, 2, 8, 1)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(sums(codes, found)[:3], vectors[:3], atol=1e-3)


def test_made_unique_takes_the_nearest_free_code():
    codebooks = np.array([[[0.0], [10]], [[0], [1]]])
    codes = np.array([[0, 0], [0, 0], [1, 0], [0, 0]])
    found = made_unique(codes, np.array([[0.0], [0.2], [10], [0.1]]), codebooks, seed=1)
    # The second word takes the other vector of the last codebook; the fourth finds none and takes what is left.
    assert found.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert codes[1].tolist() == [0, 0]


def test_made_unique_keeps_what_is_unique(points):
    vectors, weights = points
    codes, books = residual_codes(vectors, weights, 2, 12, 1)
    found = made_unique(codes, vectors, books, seed=1)
    assert len(set(map(tuple, found.tolist()))) == 60
    _, first = np.unique(codes, axis=0, return_index=True)
    assert np.array_equal(found[first], codes[first])
    assert len(first) < 60
    # The nearest: far nearer than random ones.
    changed = np.setdiff1d(np.arange(60), first)
    random = np.random.default_rng(1).integers(0, 12, (60, 2))
    errors = [np.square(sums(those, books) - vectors)[changed].sum() for those in (found, random)]
    assert errors[0] < 0.6 * errors[1]


def test_too_few_codes():
    with pytest.raises(ValueError, match="cannot tell 5 words apart"):
        made_unique(np.zeros((5, 2), int), np.zeros((5, 1)), np.zeros((2, 2, 1)), seed=1)


def test_choosing_again_takes_the_nearest_vector_of_each_codebook_in_turn():
    """Against a plain loop over words and codebooks."""
    generator = np.random.default_rng(3)
    vectors, codebooks = generator.normal(size=(20, 4)).astype(np.float32), generator.normal(size=(3, 5, 4))
    codebooks = codebooks.astype(np.float32)
    codes = generator.integers(0, 5, (20, 3))
    expected = codes.copy()
    for number in range(3):
        for word in range(20):
            others = sum(codebooks[m][expected[word, m]] for m in range(3) if m != number)
            expected[word, number] = np.square(vectors[word] - others - codebooks[number]).sum(1).argmin()
    np.testing.assert_array_equal(_chosen_again(codes, codebooks, vectors), expected)
    assert (codes != expected).any()


def test_turns_of_choosing_and_fitting_bring_the_sums_nearer(points, monkeypatch):
    vectors, weights = points
    after = error(*residual_codes(vectors, weights, 3, 4, seed=1), vectors, weights)
    monkeypatch.setattr(codes_module, "_TURNS", 0)
    assert after < 0.97 * error(*residual_codes(vectors, weights, 3, 4, seed=1), vectors, weights)
