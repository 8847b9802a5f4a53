"""The network of ALONE fitted to given vectors (equation 4 of the paper), in fewer updates than Adam takes."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from tqdm import tqdm

from fairseq_alone.modules.alone_embedding import AloneEmbedding
from fairseq_alone.modules.fit import chances_of, fit

_UPDATES = 300
_WORDS = 1024  # of an update
_MOMENTUM = 0.95
_SEED = 1

# The root mean square of the first update, in units of that of the matrix; later ones fall to zero along a cosine.
_STEP = 0.065

# How much larger the matrices become where ``o``, which is not trained, can become smaller.
_PACE = 5.0

# Of the mean square of a feature: what is added to the squares of all, so that no weight of the last layer grows.
_RIDGE = 1e-3

# Words whose features are in memory together.
_CHUNK = 2048


@torch.no_grad()
def fit_network(embedding: AloneEmbedding, vectors: Tensor, weights: Tensor) -> None:
    """Bring the computed vectors as near to given ones as the network can, in place; free rows and ``o`` stay.

    Almost all of a hidden layer is one direction that all words share, and Adam's steps are along it. Here an update
    has singular values that are all alike, as Muon's have (``optim/adam_muon.py``). So the directions that tell words
    apart are learned as fast: 300 updates come near to 2,000 of Adam's. At the end the last layer is the best there is
    for the features before it, by least squares.

    ``o`` stays, since it can do nothing that the first layer cannot, and a small one would be changed much by a step of
    the training that follows.

    Where ``o`` is not trained (``fix_base``), the matrices become larger at the end and ``o`` smaller, which changes no
    vector. A step of Adam changes every value of a matrix by about the learning rate, and all words with it: with
    larger values it changes the vectors less, so that training does not undo the fit before it has made use of it.

    Args:
        embedding: on a CPU, in float32.
        vectors: (V, D_e).
        weights: (V,), how much each word counts; its root is what is used.
    """
    first = embedding.free.num_words
    chances = chances_of(weights[first:])
    if embedding.num_layers == 3:
        # The layer in the middle is square, too large to be made alike in all directions at each update.
        with torch.enable_grad():
            fit(embedding, vectors, weights, embedding.layers, first)
    elif embedding.num_layers == 2:
        with torch.enable_grad():
            _descend(embedding, vectors, chances, first)
    embedding.layers[-1].copy_(_least_squares(embedding, vectors, chances, first))
    if not embedding.o.requires_grad:
        for layer in embedding.layers:
            layer.mul_(_PACE)
            embedding.o.div_(_PACE)


def _descend(embedding: AloneEmbedding, vectors: Tensor, chances: Tensor, first: int) -> None:
    layers = embedding.layers
    steps = [_STEP * layer.detach().square().mean().sqrt() for layer in layers]
    momenta = [torch.zeros_like(layer) for layer in layers]
    generator = torch.Generator().manual_seed(_SEED)
    for number in tqdm(range(_UPDATES), desc="fitting the network", unit="update", disable=None):
        ids = first + torch.multinomial(chances, min(_WORDS, len(chances)), generator=generator)
        loss = (embedding.compute(ids) - vectors[ids]).square().sum(1).mean()
        gradients = torch.autograd.grad(loss, layers)
        with torch.no_grad():
            for layer, momentum, gradient, step in zip(layers, momenta, gradients, steps, strict=True):
                momentum.lerp_(gradient, 1 - _MOMENTUM)
                ahead = torch.lerp(gradient, momentum, _MOMENTUM)
                factor = step * math.cos(math.pi / 2 * number / _UPDATES) * max(layer.shape) ** 0.5
                layer.sub_(orthogonal(ahead) * factor)


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix with singular values of one: ``U V'`` of ``U S V'``; directions without a value stay without."""
    if matrix.size(0) < matrix.size(1):
        return orthogonal(matrix.t()).t()
    squares, directions = torch.linalg.eigh((matrix.t() @ matrix).double())
    known = squares > squares[-1] * torch.finfo(matrix.dtype).eps
    inverse = torch.where(known, squares, 1.0).rsqrt() * known
    return matrix @ ((directions * inverse) @ directions.t()).to(matrix.dtype)


def _least_squares(embedding: AloneEmbedding, vectors: Tensor, chances: Tensor, first: int) -> Tensor:
    """The last layer, (D_e, D_inter), that comes nearest to the vectors."""
    size = embedding.layers[-1].size(1)
    products = torch.zeros(size, size, dtype=torch.float64)
    target = torch.zeros(size, vectors.size(1), dtype=torch.float64)
    for ids in _chunks(first, len(vectors)):
        features = embedding.features(ids)  # (N, D_inter)
        weighted = features * chances[ids - first].unsqueeze(1)
        products += weighted.t() @ features
        target += weighted.t() @ vectors[ids]
    products.diagonal().add_(_RIDGE * products.diagonal().mean().clamp(min=torch.finfo(torch.float32).tiny))
    return torch.cholesky_solve(target, torch.linalg.cholesky(products)).t().float()


def _chunks(start: int, stop: int) -> Iterator[Tensor]:
    yield from torch.arange(start, stop).split(_CHUNK)
