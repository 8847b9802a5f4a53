"""The nearest matrix of low rank."""

import torch
from torch import Tensor


def low_rank(vectors: Tensor, weights: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The factors of the nearest matrix of a rank, by weighted squared error (Eckart and Young, 1936).

    Args:
        vectors: (N, D), float32.
        weights: (N,), at least 0; how much the error of each vector counts.
        rank: d, at most D.

    Returns:
        (N, d) and (d, D), whose product is the nearest matrix; the rows of the second have unit length and are
        orthogonal to each other.
    """
    # The eigenvectors of a D x D matrix: cheap for any number of words.
    double = vectors.double()
    _, directions = torch.linalg.eigh((double * weights.double().unsqueeze(1)).t() @ double)  # ascending
    strongest = directions[:, -rank:].flip(1)  # (D, d)
    return (double @ strongest).to(vectors.dtype), strongest.t().to(vectors.dtype)
