"""Codes of words from their vectors: residual k-means, so that words that behave alike share codes."""

import warnings

import numpy as np
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

# Rounds of k-means. More change next to no code.
_ROUNDS = 50

# Of choosing codes again. More gain little.
_TURNS = 4


def residual_codes(
    vectors: np.ndarray, weights: np.ndarray, num_codebooks: int, codebook_size: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Codes whose sums of codebook vectors come near to given vectors.

    The first codebook has the centres of clusters of the vectors, the next those of what the first leaves, and so on.
    Clusters go by direction alone: what is left of vectors differs in length, and by distance the longest few would
    be clusters of their own, all others one.
    Then, in turns, all codebooks are fitted together by least squares, and all words choose again.

    Args:
        vectors: (V, D), float32.
        weights: (V,), how much each word counts; words of weight zero get codes, but shape no centre.
        num_codebooks: M.
        codebook_size: c; of more than V, some are used by no word.
        seed: of the first centres.

    Returns:
        Codes (V, M), int32 in [0, c), and codebooks (M, c, D), float32.
    """
    left, codes = vectors.astype(np.float32), []
    for number in range(num_codebooks):
        clusters = KMeans(min(codebook_size, len(left)), n_init=1, max_iter=_ROUNDS, random_state=seed + number)
        lengths = np.linalg.norm(left, axis=1, keepdims=True)
        directions = left / np.where(lengths > 0, lengths, 1)
        with warnings.catch_warnings():
            # Where nothing is left of some words, there are fewer clusters: all is well.
            warnings.simplefilter("ignore", ConvergenceWarning)
            clusters.fit(directions, sample_weight=weights)
        nearest = clusters.predict(directions)
        left = left - _centers(left, nearest, weights, codebook_size)[nearest]
        codes.append(nearest)
    found = np.stack(codes, axis=1).astype(np.int32)
    codebooks = codebooks_for(found, vectors, weights, codebook_size)
    for _ in range(_TURNS):
        found = _chosen_again(found, codebooks, vectors)
        codebooks = codebooks_for(found, vectors, weights, codebook_size)
    return found, codebooks


def _centers(vectors: np.ndarray, clusters: np.ndarray, weights: np.ndarray, size: int) -> np.ndarray:
    """The weighted mean of each cluster, (c, D) float32; zeros for one that has no weight."""
    members = sparse.csr_array((weights, (clusters, np.arange(len(vectors)))), shape=(size, len(vectors)))
    totals = np.asarray(members.sum(1)).reshape(-1, 1)
    return ((members @ vectors) / np.where(totals > 0, totals, 1)).astype(np.float32)


def codebooks_for(codes: np.ndarray, vectors: np.ndarray, weights: np.ndarray, codebook_size: int) -> np.ndarray:
    """The codebooks (M, c, D), float32, with which given codes come nearest to given vectors, by least squares."""
    num_codebooks = codes.shape[1]
    choices = _choices(codes, codebook_size)
    weighted = choices.T.multiply(weights).tocsr()
    products = (weighted @ choices).toarray()
    # A shift between two codebooks changes no sum, so the system has no single solution: take the shortest.
    products[np.diag_indices(len(products))] += 1e-6 * max(weights.sum() / codebook_size, 1e-12)
    found = np.linalg.solve(products, weighted @ vectors.astype(np.float64))
    return found.reshape(num_codebooks, codebook_size, -1).astype(np.float32)


def _choices(codes: np.ndarray, codebook_size: int) -> sparse.csr_array:
    """(V, M * c): one where a word has a vector of a codebook, so that this times the codebooks is the sums."""
    words, num_codebooks = codes.shape
    columns = (codes + np.arange(num_codebooks) * codebook_size).ravel()
    rows = np.repeat(np.arange(words), num_codebooks)
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(words, num_codebooks * codebook_size))


def _chosen_again(codes: np.ndarray, codebooks: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """For one codebook after another, the vector that is nearest to what all the others leave; (V, M)."""
    num_codebooks, size, dim = codebooks.shape
    codes = codes.copy()
    left = vectors - (_choices(codes, size) @ codebooks.reshape(-1, dim)).astype(np.float32)
    for number in range(num_codebooks):
        book = codebooks[number]
        left += book[codes[:, number]]
        # ||x - b||^2 without ||x||^2, which is the same for all b.
        codes[:, number] = ((book**2).sum(1) - 2 * left @ book.T).argmin(1)
        left -= book[codes[:, number]]
    return codes


def made_unique(codes: np.ndarray, vectors: np.ndarray, codebooks: np.ndarray, seed: int) -> np.ndarray:
    """Change as few codes as possible, and as little, so that no two words agree.

    A word whose codes an earlier word has takes that nearest vector of the last codebook with which its codes are free;
    where there is none, random codes.

    Args:
        codes: (V, M), the first words being the most important.
        vectors: (V, D), what the sums should come near to.
        codebooks: (M, c, D).
        seed: of random codes.

    Returns:
        (V, M), int32.

    Raises:
        ValueError: there are more words than codes.
    """
    num_codebooks, size = codebooks.shape[:2]
    if size ** min(num_codebooks, 64) < len(codes):
        raise ValueError(f"{size} ** {num_codebooks} codes cannot tell {len(codes)} words apart")
    codes = codes.copy()
    _, first = np.unique(codes, axis=0, return_index=True)
    taken: set[tuple[int, ...]] = {tuple(code) for code in np.asarray(codes[first]).tolist()}
    generator = np.random.Generator(np.random.Philox(key=seed))
    for word in np.setdiff1d(np.arange(len(codes)), first):
        others = codebooks[np.arange(num_codebooks - 1), codes[word, :-1]].sum(0)
        order = np.linalg.norm(vectors[word] - others - codebooks[-1], axis=1).argsort(kind="stable")
        candidates = ((*codes[word, :-1].tolist(), last) for last in order.tolist())
        free: tuple[int, ...] | None = next((code for code in candidates if code not in taken), None)
        while free is None or free in taken:
            free = tuple(generator.integers(0, size, (num_codebooks,)).tolist())
        codes[word] = free
        taken.add(free)
    return codes
