"""Where the trained values of an ALONE embedding of a given size do most good."""

from dataclasses import dataclass

from fairseq_alone.errors import SettingError

# Measured on Multi30k: benchmarks/convergence. Checkpoints depend on these numbers: they must never change.
_WIDE_VALUES = 0.5  # of all values, in rows of width D_e for the most frequent words
# (share of the vocabulary, share of the values): narrower rows for the words behind them, up to that share of the
# vocabulary. The network computes the others, from the values that are left.
_NARROWER = ((0.75, 0.4), (0.95, 0.06))
_BASE = 4  # D_o / D_e
# Beyond it the narrow rows would be as wide as the wide ones.
_LARGEST_SHARE = 0.75


@dataclass(frozen=True)
class AloneBudget:
    """Sizes of an :class:`~fairseq_alone.modules.AloneEmbedding`.

    Attributes:
        base_dim: D_o.
        inter_dim: D_inter.
        free_rows: the bands of words with a row of their own.
    """

    base_dim: int
    inter_dim: int
    free_rows: list[tuple[int, int]]

    @classmethod
    def of_share(cls, share: float, num_embeddings: int, embedding_dim: int) -> "AloneBudget":
        """Divide ``share`` of a table's ``V * D_e`` values among rows, wide and narrow, and the network.

        Args:
            share: greater than 0, at most 0.75; then the embedding has ``share * V * D_e`` trained values, within the
                rounding of its sizes.
            num_embeddings: vocabulary size V.
            embedding_dim: D_e.

        Raises:
            SettingError: the share is outside its range, or too small for V and D_e.
        """
        if not 0.0 < share <= _LARGEST_SHARE:
            raise SettingError("share", f"must be greater than 0 and at most {_LARGEST_SHARE}, got {share}")
        values = share * num_embeddings * embedding_dim
        bands = [(round(_WIDE_VALUES * values / embedding_dim), embedding_dim)]
        left = values - bands[0][0] * embedding_dim
        for vocabulary_share, values_share in _NARROWER:
            words = round(vocabulary_share * num_embeddings) - sum(words for words, _ in bands)
            # The width that spends these values on the rows and their projection.
            width = round(values_share * values / (words + embedding_dim))
            bands.append((words, width))
            left -= width * (words + embedding_dim)
        base_dim = _BASE * embedding_dim
        inter_dim = round((left - base_dim) / (base_dim + embedding_dim))
        if min(inter_dim, *(min(band) for band in bands)) < 1:
            raise SettingError(
                "share", f"is too small for {num_embeddings} words and vectors of {embedding_dim} values, got {share}"
            )
        return cls(base_dim, inter_dim, bands)
