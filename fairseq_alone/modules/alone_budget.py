"""Where the trained values of an ALONE embedding of a given size do most good."""

from dataclasses import dataclass

from fairseq_alone.errors import SettingError

# Measured on Multi30k: benchmarks/convergence. Checkpoints depend on these numbers: they must never change.
_WIDE_VALUES = 0.25  # of all values, in rows of width D_e for the most frequent words
_NARROW_VALUES = 0.7  # in narrower rows, all of one width, for the words behind them
_ROWS_UNTIL = 0.95  # of the vocabulary; the network computes the others, from the values that are left
_BASE = 4  # D_o / D_e
# Near 1 the narrow rows would be as wide as the wide ones; then a table does as well.
_LARGEST_SHARE = 0.75
# Of shares that a message proposes, from 0 to 1.
_STEPS = 1000


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
            SettingError: the share is outside its range, or too small for V and D_e; then it names the least that does.
        """
        if not 0.0 < share <= _LARGEST_SHARE:
            raise SettingError("share", f"must be greater than 0 and at most {_LARGEST_SHARE}, got {share}")
        budget = cls._of_share(share, num_embeddings, embedding_dim)
        if budget is None:
            sizes = f"{num_embeddings} words and vectors of {embedding_dim} values"
            larger = (step / _STEPS for step in range(int(share * _STEPS) + 1, int(_LARGEST_SHARE * _STEPS) + 1))
            least = next((other for other in larger if cls._of_share(other, num_embeddings, embedding_dim)), None)
            advice = f"give at least {least}" if least else "no share does; give the sizes themselves"
            raise SettingError("share", f"is too small for {sizes}, got {share}: {advice}")
        return budget

    @classmethod
    def _of_share(cls, share: float, num_embeddings: int, embedding_dim: int) -> "AloneBudget | None":
        values = share * num_embeddings * embedding_dim
        wide = round(_WIDE_VALUES * values / embedding_dim)
        narrow = round(_ROWS_UNTIL * num_embeddings) - wide
        base_dim = _BASE * embedding_dim
        # The width that spends these values on the rows and their projection. In small vocabularies the rounding may
        # take what the network needs; then the rows are one narrower.
        nearest = round(_NARROW_VALUES * values / (narrow + embedding_dim))
        for width in (nearest, nearest - 1):
            left = values - wide * embedding_dim - width * (narrow + embedding_dim)
            inter_dim = round((left - base_dim) / (base_dim + embedding_dim))
            if inter_dim >= 1:
                break
        if min(wide, width, inter_dim) < 1:
            return None
        return cls(base_dim, inter_dim, [(wide, embedding_dim), (narrow, width)])
