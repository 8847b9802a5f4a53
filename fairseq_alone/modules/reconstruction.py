"""Given word vectors rebuilt by an embedding, as section 3.1 of the ALONE paper measures it.

:mod:`~fairseq_alone.modules.fit` brings an embedding near to vectors in as few updates as it can, for a training that
follows. This is the paper's own experiment: equation 4, Adam with PyTorch's defaults, every word once in an epoch.
"""

from typing import Any

import torch
from torch import Tensor

from fairseq_alone.modules.computed_embedding import ComputedEmbedding


class Reconstruction:
    """A training towards given vectors that can be left after any epoch and goes on as if nothing had happened.

    Equation 4: the sum over words of ``||e_w - f_w||^2``, where ``f_w`` is computed. A batch counts the mean over its
    words, which to Adam is the same.

    Args:
        embedding: of V words, in training mode, in float32. Tensors without a gradient stay as they are.
        vectors: what it is to compute, (V, D_e), float32.
        batch: words of an update, at least 1; the last batch of an epoch has what is left.
        seed: of the order of the words, which is another one in each epoch.
    """

    def __init__(self, embedding: ComputedEmbedding, vectors: Tensor, batch: int, seed: int):
        self.embedding = embedding
        self.vectors = vectors
        self.batch = batch
        self.seed = seed
        #: Equation 4 of each epoch, divided by V: the mean over words of what their batches had before the update.
        self.losses: list[float] = []
        parameters = [parameter for parameter in embedding.parameters() if parameter.requires_grad]
        # Fused: the same update in one pass over the tensors.
        self._optimizer = torch.optim.Adam(parameters, fused=True)

    @property
    def epochs(self) -> int:
        """How many epochs are done."""
        return len(self.losses)

    def train_epoch(self) -> float:
        """Give every word to one update. Returns the epoch's loss, see :attr:`losses`."""
        total = 0.0
        for ids in self._order().split(self.batch):
            self._optimizer.zero_grad()
            loss = (self.embedding.compute(ids) - self.vectors[ids]).square().sum(1).mean()
            loss.backward()
            self._optimizer.step()
            total += loss.item() * len(ids)
        self.losses.append(total / len(self.vectors))
        return self.losses[-1]

    def _order(self) -> Tensor:
        """The words of the coming epoch, (V,): a function of the seed and the epoch alone."""
        # Consecutive seeds of one generator are far apart only where the generator mixes them; torch's does.
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epochs) % 2**63)
        return torch.randperm(len(self.vectors), generator=generator)

    def state_dict(self) -> dict[str, Any]:
        """All that going on needs: trained tensors, Adam's state, the losses so far."""
        return {
            "embedding": self.embedding.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "losses": list(self.losses),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave of a training of the same settings."""
        self.embedding.load_state_dict(state["embedding"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.losses = list(state["losses"])
