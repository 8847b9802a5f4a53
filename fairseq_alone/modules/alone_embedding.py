"""ALONE: all word embeddings from one vector (Takase and Kobayashi, NeurIPS 2020)."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Self  # noqa: UP035 (torch needs it anyway; typing has it since Python 3.11)

from fairseq_alone.errors import SettingError
from fairseq_alone.modules.alone_vectors import alone_vectors
from fairseq_alone.modules.computed_embedding import ComputedEmbedding
from fairseq_alone.modules.filters import FilterBank, FilterSettings
from fairseq_alone.modules.first_layer import FilterProducts, FilterSums
from fairseq_alone.modules.free_rows import FreeRows, check_free_rows

#: How the trained values may start; see :class:`AloneEmbedding`.
INITS = ("balanced", "published")

# The standard deviation of o in the authors' code is this power of D_e + D_inter. They give no reason for the numbers.
# They have no naive filters; those are binary, too.
_PUBLISHED_POWER = {"binary": -0.05, "naive": -0.05, "real": -0.3}

# Words that set the initial scale. More change it by less than one percent.
_NUM_SCALE_SAMPLES = 1024


class AloneEmbedding(ComputedEmbedding):
    """The embedding ``e_w = W2 relu(W1 (m_w * o))`` (equations 1 and 3).

    Trained: ``o`` (D_o), ``w1`` (D_inter, D_o) and ``w2`` (D_e, D_inter). With one layer there is only ``w1``
    (D_e, D_o), with three there is another square layer between (``w2`` is then (D_inter, D_inter)). The layers have no
    bias, so the padding word, whose filter is zero, has a zero vector. The trained size does not depend on V.

    With ``free_rows``, the first words other than padding have a trained vector in place of a computed one; see
    :class:`~fairseq_alone.modules.free_rows.FreeRows`. Give frequent words the small numbers, as fairseq's dictionaries
    do.

    With ``init="balanced"`` the standard deviation of ``matrix()`` is ``D_e ** -0.5`` at first, as that of a table is.
    ``init="published"`` draws from the distributions of the authors' code (takase/alone_seq2seq): ``o`` from
    N(0, s^2), where s is ``(D_e + D_inter) ** -0.05`` for binary filters and ``(D_e + D_inter) ** -0.3`` for real ones;
    the layers from Xavier's uniform distribution. With the paper's D_e = 512 and D_inter = 8192, vectors are then 3.4
    times as long as a table's with binary filters and half as long with real ones. With one layer D_inter counts as 0,
    as it does there. Free rows, which the authors do not have, start alike with both.

    Args:
        settings: the filters ``m_w``, with the vocabulary size V and D_o.
        embedding_dim: D_e; may differ from D_o.
        padding_idx: the word whose vector is zero, or None.
        inter_dim: D_inter, the width of the hidden layer; unused with one layer.
        num_layers: 1, 2 (the paper's) or 3.
        dropout: probability of dropout after the ReLU, in [0, 1), on input look-ups only; a word that occurs several
            times in a batch has one mask.
        dropout_until: the update from which dropout is off; 0 keeps it on.
        fix_base: leave ``o`` untrained, the paper's ablation.
        free_rows: bands of words that have a trained vector of their own, each the number of its words and the width
            of their rows, at most D_e; none is the paper's.
        init: the distribution of the initial values, ``"balanced"`` or ``"published"``.
        given_codes: the codes of the filters are not the random ones: :meth:`set_codes` or a checkpoint brings them.

    Raises:
        SettingError: a setting is outside its range.
    """

    def __init__(
        self,
        settings: FilterSettings,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        inter_dim: int,
        num_layers: int = 2,
        dropout: float = 0.0,
        dropout_until: int = 0,
        fix_base: bool = False,
        free_rows: Sequence[tuple[int, int]] = (),
        init: str = "balanced",
        given_codes: bool = False,
    ):
        if embedding_dim < 1:
            raise SettingError("embedding_dim", f"must be at least 1, got {embedding_dim}")
        if inter_dim < 1:
            raise SettingError("inter_dim", f"must be at least 1, got {inter_dim}")
        if num_layers not in (1, 2, 3):
            raise SettingError("num_layers", f"must be 1, 2 or 3, got {num_layers}")
        if not 0.0 <= dropout < 1.0:
            raise SettingError("dropout", f"must be at least 0 and less than 1, got {dropout}")
        if dropout > 0.0 and num_layers == 1:
            raise SettingError("dropout", f"needs 2 or 3 layers: it comes after the ReLU; got {dropout} with 1 layer")
        if dropout_until < 0:
            raise SettingError("dropout_until", f"must be at least 0, got {dropout_until}")
        if init not in INITS:
            raise SettingError("init", f"must be one of {', '.join(INITS)}, got {init!r}")
        check_free_rows(free_rows, settings.num_embeddings, padding_idx)
        super().__init__(settings.num_embeddings, embedding_dim, padding_idx)
        self.inter_dim = inter_dim
        self.num_layers = num_layers
        self.init = init
        self.dropout = dropout
        self.dropout_until = dropout_until
        self.num_updates = 0
        self.filters = FilterBank(settings, padding_idx, given_codes)
        self._filter_sums: FilterSums | None = None
        #: Whether the codes are to be learned from vectors that a new embedding begins with.
        self.learns_codes = False
        self.o = nn.Parameter(torch.empty(settings.base_dim), requires_grad=not fix_base)
        sizes = [settings.base_dim] + [inter_dim] * (num_layers - 1) + [embedding_dim]
        for layer in range(num_layers):
            self.register_parameter(f"w{layer + 1}", nn.Parameter(torch.empty(sizes[layer + 1], sizes[layer])))
        self.free = FreeRows(free_rows, embedding_dim, padding_idx)
        self.reset_parameters()

    @property
    def layers(self) -> list[Tensor]:
        """The matrices of the network, first to last, each (output size, input size)."""
        return [getattr(self, f"w{layer + 1}") for layer in range(self.num_layers)]

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all trained values from PyTorch's global generator; see ``init``."""
        published = self.init == "published"
        for layer in self.layers:
            (nn.init.xavier_uniform_ if published else nn.init.xavier_normal_)(layer)
        self.o.normal_()
        self.free.reset_parameters()
        if published:
            self.o.mul_(self._published_scale())
        elif self.filters.awaited_codes is None:
            self.o.mul_(self._balanced_scale())

    @property
    def codebook_size(self) -> int:
        """c, of the filters."""
        return self.filters.settings.codebook_size

    @property
    def random_codes(self) -> Tensor:
        """What words have whose codes are not given, (V, M), int64; only until codes are given."""
        return self.filters.codes.long()

    def await_codes(self, sentence: str) -> None:
        """Have this sentence said where codes are needed before they are set or loaded."""
        self.filters.awaited_codes = sentence

    @torch.no_grad()
    def set_codes(self, codes: Tensor) -> None:
        """Give the filters their codes, in a new embedding with ``given_codes``, whose initial scale then follows.

        Args:
            codes: (V, M), whole numbers in [0, c).

        Raises:
            ValueError: another shape, or a code that is outside its range.
        """
        self._forget_matrices()
        self._filter_sums = None
        self.filters.set_codes(codes)
        if self.init == "balanced":
            self.o.mul_(self._balanced_scale())

    def _published_scale(self) -> float:
        inter_dim = self.inter_dim if self.num_layers > 1 else 0
        return (self.embedding_dim + inter_dim) ** _PUBLISHED_POWER[self.filters.settings.filter]

    def _balanced_scale(self) -> Tensor | float:
        """What a unit ``o`` is multiplied by, so that the matrix has a table's scale, which no setting changes.

        The layers have Xavier's scale, like every projection of a fairseq Transformer, and ``o`` takes up the rest:
        with a unit ``o`` the last layer would have to be so small that one step of Adam exceeds it many times.
        """
        # The ReLU's features share one direction, so theory leaves some percent to chance; measuring does not. Without
        # biases the matrix is proportional to o.
        computed = self._all_ids()[self.free.num_words :]
        step = max(1, len(computed) // _NUM_SCALE_SAMPLES)
        deviation = self.compute(computed[::step]).std(correction=0) if len(computed) else 0.0
        return self.embedding_dim**-0.5 / deviation if deviation > 0 else 1.0

    def set_num_updates(self, num_updates: int) -> None:
        """Tell how many updates were made; fairseq's trainer calls this."""
        self.num_updates = num_updates

    @property
    def input_dropout_is_on(self) -> bool:
        """Whether input look-ups have dropout now: never in evaluation, nor from update ``dropout_until`` on."""
        scheduled = self.dropout_until == 0 or self.num_updates < self.dropout_until
        return self.training and scheduled and self.dropout > 0.0

    def compute(self, ids: Tensor, input_dropout: bool = False) -> Tensor:
        """Vectors of words, ``(N,) -> (N, D_e)``; see :meth:`ComputedEmbedding.compute`."""
        first, *later = self.layers
        # W1 (m * o) = (W1 * o) m: as the filters need no gradient, this saves one of three products.
        vectors = F.linear(self.filters(ids), first * self.o)  # (N, D_o) -> (N, D_inter)
        for layer in later:
            vectors = F.dropout(F.relu(vectors), self.dropout, input_dropout and self.input_dropout_is_on)
            vectors = F.linear(vectors, layer)  # -> (N, D_e)
        return self.free.put(vectors, ids)

    def features(self, ids: Tensor) -> Tensor:
        """What the last layer computes the vectors of words from, without dropout: ``(N,) -> (N, D_inter)``."""
        features = self.filters(ids) * self.o  # (N, D_o)
        for layer in self.layers[:-1]:
            features = F.relu(F.linear(features, layer))
        return features

    def build_matrix(self) -> Tensor:
        """All vectors, (V, D_e), without dropout, differentiable; in float32 when computed in a half type."""
        first, *later = self.layers
        # The dtype that a matrix product has here: that of the parameters, or that of an autocast region.
        dtype = F.linear(first.new_zeros(1, 1), first.new_zeros(1, 1)).dtype
        wide = torch.float64 if first.dtype == torch.float64 else torch.float32
        layer = self._filter_sums_for(dtype) or FilterProducts(self.filters)
        with torch.autocast(first.device.type, enabled=False):
            weight = layer.prepare(first.to(wide) * self.o.to(wide))
        size = self.num_embeddings, self.embedding_dim
        return alone_vectors(layer, size, weight, later, dtype, self.free)

    def _filter_sums_for(self, dtype: torch.dtype) -> FilterSums | None:
        if self.filters.codes.device.type != "cpu" or dtype not in (torch.float32, torch.float64):
            return None
        if self._filter_sums is None:
            self._filter_sums = FilterSums(self.filters)
        return self._filter_sums

    def values_were_replaced(self) -> None:
        """See :meth:`ComputedEmbedding.values_were_replaced`."""
        super().values_were_replaced()
        self._filter_sums = None
        self.filters.awaited_codes = None

    def _load_from_state_dict(self, *args: Any) -> None:
        self._filter_sums = None  # they follow from the codes
        super()._load_from_state_dict(*args)

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Self:
        # They are on a CPU, and large.
        self._filter_sums = None
        return super()._apply(fn, *args, **kwargs)

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_filter_sums": None}
