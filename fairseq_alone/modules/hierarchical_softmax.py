"""An output layer that decides for a word step by step, down a binary tree (Morin and Bengio, AISTATS 2005)."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.modules.embedding import Embedding
from fairseq_alone.modules.word_tree import levels_of, paths_of


class HierarchicalSoftmax(nn.Module):
    """The probability of a word is that of the way from the root of a tree to it (Mikolov et al., 2013, equation 3).

    At node n, features h go on to the left with probability ``sigmoid(v_n . h)``. So a word's probability needs the
    vectors of its path only, which are about log2(V), and those of all words add up to 1 whatever the vectors are.

    The embedding of the nodes is held without being registered, as that of a
    :class:`~fairseq_alone.modules.TiedProjection`.

    Args:
        embedding: of V - 1 nodes, in the order of the tree.
        tree: (V - 1, 2), integer, see :mod:`~fairseq_alone.modules.word_tree`. It is in state dicts, as int32; the tree
            of a loaded one takes its place.
        awaits: why ``tree`` must not be used: a sentence that is raised unless a state dict has brought another.

    Raises:
        SettingError: the embedding has another number of nodes.
        ValueError: this is no tree.
    """

    embedding: Embedding
    tree: Tensor
    _starts: Tensor
    _nodes: Tensor
    _signs: Tensor
    _order: Tensor
    _inner: Tensor
    _leaves: Tensor
    _places: Tensor

    def __init__(self, embedding: Embedding, tree: Tensor, awaits: str | None = None):
        super().__init__()
        if embedding.num_embeddings != len(tree):
            raise SettingError("embedding", f"must have {len(tree)} nodes, got {embedding.num_embeddings}")
        self.__dict__["embedding"] = embedding
        self.awaits = awaits
        self.register_buffer("tree", tree.to(torch.int32, copy=True))
        self._walk()

    @property
    def num_words(self) -> int:
        """V."""
        return len(self.tree) + 1

    def log_prob(self, features: Tensor, targets: Tensor) -> Tensor:
        """Log-probabilities of given words; the cost goes by the lengths of their paths.

        Args:
            features: (N, D).
            targets: (N,), integer, in [0, V).

        Returns:
            (N,), float32.
        """
        self._require_tree()
        # The paths of all targets stand one behind the other: P entries, no padding.
        starts = self._starts[targets]  # (N,)
        lengths = self._starts[targets + 1] - starts
        rows = torch.arange(len(targets), device=targets.device).repeat_interleave(lengths)  # (P,)
        first_entries = lengths.cumsum(0) - lengths
        entries = torch.arange(len(rows), device=targets.device) + (starts - first_entries)[rows]
        # An embedding look-up, whose gradient is faster than that of indexing.
        vectors = self.embedding.rows(self._nodes[entries].long())  # (P, D)
        scores = (vectors * F.embedding(rows, features)).sum(1).float()  # (P,)
        steps = F.logsigmoid(scores * self._signs[entries])
        return steps.new_zeros(len(targets)).index_add(0, rows, steps)

    def forward(self, features: Tensor) -> Tensor:
        """Log-probabilities of all words, ``(..., D) -> (..., V)``, in float32, level by level in O(V)."""
        self._require_tree()
        flat = features.reshape(-1, features.size(-1))
        # Nodes before positions: each step below takes whole rows.
        scores = F.linear(self.embedding.matrix(), flat).float()[self._order]  # (V - 1, N)
        above = scores.new_zeros(1, len(flat))
        leaves, node, inner, leaf = [], 0, 0, 0
        for num_nodes, num_inner in self._levels:
            here = scores[node : node + num_nodes]
            below = torch.cat([above + F.logsigmoid(here), above + F.logsigmoid(-here)])  # (2 * num_nodes, N)
            num_leaves = 2 * num_nodes - num_inner
            leaves.append(below[self._leaves[leaf : leaf + num_leaves]])
            above = below[self._inner[inner : inner + num_inner]]
            node, inner, leaf = node + num_nodes, inner + num_inner, leaf + num_leaves
        found = torch.cat(leaves)[self._places]  # (V, N)
        return found.t().reshape(*features.shape[:-1], self.num_words)

    def _require_tree(self) -> None:
        if self.awaits is not None:
            raise UserError(self.awaits)

    def _walk(self) -> None:
        """Find the paths of all words, and the order in which their probabilities are computed together."""
        children = self.tree.cpu().numpy()
        paths, levels = paths_of(children), levels_of(children)
        # How many nodes a level has, and how many the next one.
        self._levels = [
            (len(nodes), len(below)) for nodes, below in zip(levels, [*levels[1:], np.empty(0, np.int64)], strict=True)
        ]
        below = [children[nodes].T.reshape(-1) for nodes in levels]
        words = ~np.concatenate([level[level < 0] for level in below])
        places = np.empty(self.num_words, np.int64)
        places[words] = np.arange(self.num_words)
        found = {
            "_starts": paths.starts,
            "_nodes": paths.nodes,
            "_signs": paths.signs,
            "_order": np.concatenate(levels),
            "_inner": np.concatenate([np.flatnonzero(level >= 0) for level in below]),
            "_leaves": np.concatenate([np.flatnonzero(level < 0) for level in below]),
            "_places": places,
        }
        for name, array in found.items():
            self.register_buffer(name, torch.from_numpy(array).to(self.tree.device), persistent=False)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        before = self.tree.clone()
        super()._load_from_state_dict(state_dict, prefix, *args)
        if not torch.equal(before, self.tree):
            self._walk()
        if f"{prefix}tree" in state_dict:
            self.awaits = None

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        return f"{self.num_words}, longest path {len(self._levels)}"
