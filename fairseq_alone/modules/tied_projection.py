"""The output layer over an embedding that computes its matrix."""

import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_alone.modules.chunked_log_prob import chunked_log_prob
from fairseq_alone.modules.computed_embedding import ComputedEmbedding
from fairseq_alone.modules.embedding import Embedding


def has_rows(layer: object) -> bool:
    """Whether an output layer has one vector for each word, and nothing else: ours, or fairseq's without a bias."""
    return isinstance(layer, (TiedProjection, nn.Linear)) and layer.bias is None


def rows_of(layer: "TiedProjection | nn.Linear", ids: Tensor) -> Tensor:
    """Vectors of words, ``(...) -> (..., D)``, of an output layer that :func:`has_rows`."""
    return layer.rows(ids) if isinstance(layer, TiedProjection) else F.embedding(ids, layer.weight)


class TiedProjection(nn.Module):
    """Logits as products of features and an embedding's rows (Press and Wolf, section 2).

    The embedding is held without being registered: it already belongs to the module that looks up with it, and no
    trained tensor should stand twice among the modules.

    Args:
        embedding: anything with ``matrix() -> (V, D_e)``. One that has a cheaper way to logits than the product with
            this matrix offers ``project(features)``, ``(N, D_e) -> (N, V)``, and ``log_prob(features,
            targets)``, ``(N,)``.
    """

    bias = None
    embedding: Embedding

    def __init__(self, embedding: Embedding):
        super().__init__()
        self.__dict__["embedding"] = embedding
        if isinstance(embedding, ComputedEmbedding):
            embedding.serves_output = True

    def forward(self, features: Tensor) -> Tensor:
        """``(..., D_e) -> (..., V)``, without bias."""
        flat = features.reshape(-1, features.size(-1))
        project = getattr(self.embedding, "project", None)
        if project is not None:
            found: Tensor = project(flat)
            return found.view(*features.shape[:-1], self.embedding.num_embeddings)
        matrix = self.embedding.matrix()
        # One product of two matrices. With a weight that needs no gradient, PyTorch would multiply vector by vector
        # when the strides of the leading dimensions do not merge, as those of fairseq's decoder in a beam step.
        logits = F.linear(flat, matrix)
        return logits.view(*features.shape[:-1], matrix.size(0))

    def log_prob(self, features: Tensor, targets: Tensor) -> Tensor:
        """Log-probabilities (N,) in float32 of targets (N,), whose features are (N, D_e)."""
        own = getattr(self.embedding, "log_prob", None)
        if own is not None:
            found: Tensor = own(features, targets)
            return found
        return chunked_log_prob([(features, self.embedding.matrix())], targets)

    def rows(self, ids: Tensor) -> Tensor:
        """``weight[ids]``: ``(...) -> (..., D_e)``, without the rest of the matrix where that saves work."""
        return self.embedding.rows(ids)

    @property
    def weight(self) -> Tensor:
        """The matrix (V, D_e), for tools that only look."""
        return self.embedding.matrix()
