"""Compositional codes: a word is a sum of codebook vectors (Shu and Nakayama, ICLR 2018), and rows of its own."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.modules.code_sums import CodeSums
from fairseq_alone.modules.codes import check_codes, code_type
from fairseq_alone.modules.computed_embedding import ComputedEmbedding
from fairseq_alone.modules.filters import FilterSettings, unique_codes
from fairseq_alone.modules.free_rows import FreeRows, check_free_rows

# Checkpoints depend on this number: it must never change.
_STEP = 1.25


def _narrow_gain(width: int, embedding_dim: int) -> float:
    """g of narrow rows, see :class:`~fairseq_alone.modules.free_rows.Band`.

    With g = (d / D_e) ** 0.5 a step of Adam moves a row's vector as far, in length, as it moves that of a table's row.
    Rows that begin with learned vectors need no longer steps: they lose what they know, and jump about at the end of a
    training (``benchmarks/corpus``).
    """
    return _STEP * (width / embedding_dim) ** 0.5


class CodeEmbedding(ComputedEmbedding):
    """The embedding ``e_w = sum_m C_m[code(w, m)]`` (their equation 1): M codebooks of c trained vectors each.

    The trained size is ``M * c * D_e``, whatever the vocabulary is. Codes are data, not trained: random and unique, or
    given by :meth:`set_codes`. A checkpoint holds them, ``M`` whole numbers for each word, of one byte up to c = 256.

    With ``free_rows``, the first words have rows of their own, see :class:`~fairseq_alone.modules.free_rows.FreeRows`:
    a wide row takes the place of the sum, a narrow one is added to it. So words share what they have in common, and a
    few values of each tell them apart.

    At initialisation the standard deviation of ``matrix()`` is ``D_e ** -0.5``, that of a fairseq table.

    Args:
        num_embeddings: vocabulary size V.
        embedding_dim: D_e.
        padding_idx: the word whose vector is zero, or None.
        num_codebooks: M, at least 1; 32 in most experiments of the paper (Table 4).
        codebook_size: c, from 2; 16 in most experiments of the paper.
        seed: of the random codes.
        stream: which of several independent draws of one seed.
        free_rows: bands of words with rows of their own, each the number of its words and the width of their rows, at
            most D_e; none is the paper's.

    Raises:
        SettingError: a setting is outside its range, or ``c ** M < V``, so that words cannot have unique codes.
    """

    codes: Tensor

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        num_codebooks: int,
        codebook_size: int,
        seed: int = 1,
        stream: int = 0,
        free_rows: Sequence[tuple[int, int]] = (),
    ):
        if codebook_size < 2:
            raise SettingError("codebook_size", f"must be at least 2, got {codebook_size}")
        # Checks the other settings; codes are drawn as those of filters are.
        settings = FilterSettings(
            num_embeddings,
            base_dim=embedding_dim,
            num_codebooks=num_codebooks,
            codebook_size=codebook_size,
            seed=seed,
            stream=stream,
        )
        check_free_rows(free_rows, num_embeddings, padding_idx)
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.num_codebooks, self.codebook_size = num_codebooks, codebook_size
        self.register_buffer("codes", torch.from_numpy(unique_codes(settings)).to(code_type(codebook_size)))
        #: Whether the codes are other than the random ones.
        self.codes_are_given = False
        #: A sentence while the random codes must not be used, until others are set or loaded.
        self.awaited_codes: str | None = None
        self.codebooks = nn.Parameter(torch.empty(num_codebooks * codebook_size, embedding_dim))
        self.free = FreeRows(free_rows, embedding_dim, padding_idx, _narrow_gain)
        self._sums: CodeSums | None = None
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the codebooks and the rows from PyTorch's global generator."""
        self.codebooks.normal_(std=(self.embedding_dim * self.num_codebooks) ** -0.5 / self.scale)
        self.free.reset_parameters()

    @property
    def scale(self) -> float:
        """The factor between the codebooks and what words add up of them.

        With rows it is ``M ** -0.5``: a step of Adam then moves a word's sum as far as it moves a table's row, however
        many codebooks there are. Without, the codebooks are the vectors themselves, as in the paper.
        """
        return self.num_codebooks**-0.5 if self.free.num_rows else 1.0

    @torch.no_grad()
    def set_codebooks(self, codebooks: Tensor) -> None:
        """Begin with given codebook vectors, (M, c, D_e)."""
        self.codebooks.copy_(codebooks.flatten(0, 1) / self.scale)

    @property
    def wide_words(self) -> Tensor:
        """Words with a row of width D_e, which takes the place of the sum: their numbers, (K,), int64."""
        bands = zip(self.free.bands, [0, *self.free.band_ends], self.free.band_ends, strict=False)
        words = [torch.arange(start, stop) for band, start, stop in bands if band.projection is None]
        return torch.cat([*words, torch.arange(0)])

    def set_codes(self, codes: Tensor) -> None:
        """Give the words codes that were found elsewhere, for example by clustering word vectors.

        Args:
            codes: (V, M), whole numbers in [0, c).

        Raises:
            ValueError: another shape, or a code that is outside its range.
        """
        check_codes(codes, self.codes.shape, self.codebook_size)
        self.codes.copy_(codes)
        self.awaited_codes = None
        self.codes_are_given = True
        self._forget_matrices()

    @property
    def random_codes(self) -> Tensor:
        """What words have whose codes are not given, (V, M), int64; only until codes are given."""
        return self.codes.long()

    def await_codes(self, sentence: str) -> None:
        """Have the random codes refused with this sentence, until others are set or loaded."""
        self.awaited_codes = sentence

    def values_were_replaced(self) -> None:
        """See :meth:`ComputedEmbedding.values_were_replaced`."""
        super().values_were_replaced()
        self.awaited_codes = None

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self.awaited_codes = None

    def compute(self, ids: Tensor, input_dropout: bool = False) -> Tensor:
        """Vectors of words, ``(N,) -> (N, D_e)``; see :meth:`ComputedEmbedding.compute`.

        Raises:
            UserError: other codes are awaited.
        """
        if self.awaited_codes is not None:
            raise UserError(self.awaited_codes)
        return self._with_rows(F.embedding_bag(self._vectors_of(ids), self.codebooks, mode="sum"), ids)

    def build_matrix(self) -> Tensor:
        """All vectors, (V, D_e), differentiable. Raises UserError: other codes are awaited."""
        if self.awaited_codes is not None:
            raise UserError(self.awaited_codes)
        if self._sums is None:
            self._sums = CodeSums(self._vectors_of(self._all_ids()), len(self.codebooks))
        return self._with_rows(self._sums(self.codebooks), self._all_ids())

    def _vectors_of(self, ids: Tensor) -> Tensor:
        """The numbers of the codebook vectors that words add up, (N, M)."""
        first = torch.arange(self.num_codebooks, device=ids.device) * self.codebook_size  # of each codebook
        return self.codes[ids].long() + first

    def _with_rows(self, sums: Tensor, ids: Tensor) -> Tensor:
        vectors = sums * self.scale if self.scale != 1.0 else sums
        if self.padding_idx is not None:
            vectors = vectors * (ids != self.padding_idx).unsqueeze(1)
        return self.free.add(vectors, ids)

    def _forget_matrices(self) -> None:
        super()._forget_matrices()
        # Codes are given, loaded and moved wherever matrices are forgotten.
        self._sums = None

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_sums": None}
