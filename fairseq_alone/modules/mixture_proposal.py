"""A proposal that follows the model: a mixture of bigrams and unigrams (Bengio and Senecal, 2008)."""

import numpy as np
import torch
from torch import Tensor

from fairseq_alone.modules.noise import NoiseDistribution, NoiseWords

#: Contexts are told apart by the logarithm of their count to base 2, so these are enough for every corpus.
NUM_BINS = 32


class MixtureProposal:
    """``q(w | c) = a P(w | c) + (1 - a) P(w)`` with the bigrams and unigrams of a text, and a by the frequency of c.

    The paper draws from q of each position. Here the words of a batch serve all of its positions, so they come from the
    mean of q over the contexts of the batch. That is a distribution like any other, known exactly for each word, so the
    estimates stay as they are, whichever contexts it was made of; a word that one context makes likely is drawn for the
    others, too, which costs them nothing but variance.

    Args:
        starts: (V + 1,), where the pairs of each context begin in the next two.
        words: (B,), ascending within a context.
        counts: (B,), positive.
        unigram: (V,), weights of the words without a context, positive.
    """

    def __init__(self, starts: np.ndarray, words: np.ndarray, counts: np.ndarray, unigram: np.ndarray):
        self._starts, self._words = starts, words
        lengths = np.diff(starts)
        sums = np.concatenate([[0], np.cumsum(counts)])
        totals = sums[starts[1:]] - sums[starts[:-1]]
        self._probabilities = (counts / np.repeat(totals, lengths)).astype(np.float32)
        self._unigram = unigram / unigram.sum()
        #: The bin of each context, (V,), and whether it has pairs at all.
        self.bins = torch.from_numpy(np.log2(np.maximum(totals, 1)).astype(np.int64))
        self.has_pairs = torch.from_numpy(lengths > 0)

    def weights(self, mixture: Tensor, contexts: Tensor) -> Tensor:
        """a of each context, ``(N,) -> (N,)``, float32; 0 where nothing is known of it.

        Args:
            mixture: (NUM_BINS,), the trained numbers; a is the sigmoid of ten times these, since an optimizer whose
                steps fit a matrix would take long for a logit.
            contexts: (N,), on the device of ``mixture``.
        """
        bins, has_pairs = (known.to(contexts.device)[contexts] for known in (self.bins, self.has_pairs))
        return (10 * mixture.float()).sigmoid()[bins] * has_pairs

    def of_batch(self, contexts: Tensor, weights: Tensor) -> NoiseDistribution:
        """The mean of q over contexts (N,) with weights a (N,)."""
        size = len(self._unigram)
        known = contexts.cpu().numpy()
        shares = np.bincount(known, weights.detach().cpu().numpy(), minlength=size) / len(known)
        distinct = np.flatnonzero(shares)
        entries, lengths = self._entries(distinct)
        values = np.repeat(shares[distinct], lengths) * self._probabilities[entries]
        of_bigrams = np.bincount(self._words[entries], values, minlength=size)
        return NoiseDistribution(of_bigrams + (1 - shares.sum()) * self._unigram)

    def cross_entropy(self, contexts: Tensor, weights: Tensor, noise: NoiseWords, log_model: Tensor) -> Tensor:
        """``-sum_w p(w) log q(w | c)`` over the noise words, (N,): least where q follows p, as their divergence is.

        The target of a position is left out: its score is exact without q.

        Args:
            contexts: (N,).
            weights: (N,), a, which gets the gradient.
            noise: (S,) words.
            log_model: (N, S), log p of the noise words as the model has it; gets no gradient.
        """
        distinct, places = contexts.unique(return_inverse=True)
        bigram = self._of_words(distinct.cpu().numpy(), noise.ids.cpu().numpy()).to(weights.device)[places]
        unigram = torch.from_numpy(self._unigram[noise.ids.cpu().numpy()]).float().to(weights.device)
        mixed = unigram + weights.unsqueeze(1) * (bigram - unigram)
        return -(log_model.detach().exp() * mixed.log()).sum(dim=1)

    def _of_words(self, contexts: np.ndarray, ids: np.ndarray) -> Tensor:
        """``P(w | c)`` of all pairs of contexts (C,) and words (S,), (C, S), float32."""
        columns = np.full(len(self._unigram), -1)
        columns[ids] = np.arange(len(ids))
        entries, lengths = self._entries(contexts)
        found = columns[self._words[entries]]
        hits = found >= 0
        matrix = np.zeros((len(contexts), len(ids)), dtype=np.float32)
        matrix[np.repeat(np.arange(len(contexts)), lengths)[hits], found[hits]] = self._probabilities[entries[hits]]
        return torch.from_numpy(matrix)

    def _entries(self, contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the pairs of contexts (C,) stand, one context after the other, and how many each has, (C,)."""
        lengths = self._starts[contexts + 1] - self._starts[contexts]
        ends = np.cumsum(lengths)
        return np.repeat(self._starts[contexts] - (ends - lengths), lengths) + np.arange(
            ends[-1] if len(ends) else 0
        ), lengths
