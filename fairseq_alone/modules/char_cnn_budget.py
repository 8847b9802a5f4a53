"""The sizes of a character CNN of a given number of trained values."""

from dataclasses import dataclass

from fairseq_alone.errors import SettingError

# Checkpoints depend on these numbers: they must never change.
_PARTS = (1, 2, 4, 4)  # filters of width 1, 2, 3 and 4: of wide ones more, since there is more to tell apart
_LARGEST_SHARE = 0.75
_MOST_FEATURES = 2  # in units of D_e; beyond, the time grows with the square and the vectors gain little


@dataclass(frozen=True)
class CharCnnBudget:
    """Sizes of a :class:`~fairseq_alone.modules.CharCnnEmbedding` with one highway layer.

    Attributes:
        filters: widths and numbers of filters.
        correction_dim: values of a word's correction.
    """

    filters: list[tuple[int, int]]
    correction_dim: int

    @classmethod
    def of_share(
        cls, share: float, num_embeddings: int, embedding_dim: int, num_characters: int, character_dim: int
    ) -> "CharCnnBudget":
        """Divide ``share`` of a table's ``V * D_e`` values among the network and corrections of words.

        The network gets half, but no more than it has use for; corrections get what is left.

        Args:
            share: greater than 0, at most 0.75; then the embedding has at most ``share * V * D_e`` trained values. The
                spelling comes on top, about a byte for each character.
            num_embeddings: vocabulary size V, padding included.
            embedding_dim: D_e.
            num_characters: C.
            character_dim: d.

        Raises:
            SettingError: the share is outside its range, or too small for V and D_e.
        """
        if not 0.0 < share <= _LARGEST_SHARE:
            raise SettingError("share", f"must be greater than 0 and at most {_LARGEST_SHARE}, got {share}")
        values = int(share * num_embeddings * embedding_dim)

        def network(features: int) -> int:
            of_filters = sum(width * count for width, count in _filters(features)) * character_dim
            highway = 2 * features * (features + 1)
            return (
                (num_characters - 1) * character_dim + of_filters + features + highway + (features + 1) * embedding_dim
            )

        def largest(limit: float) -> int:
            sizes = range(sum(_PARTS), _MOST_FEATURES * embedding_dim + 1)
            return max((size for size in sizes if network(size) <= limit), default=0)

        features = largest(values / 2) or largest(values)
        if not features:
            raise SettingError(
                "share", f"is too small for {num_embeddings} words and vectors of {embedding_dim} values, got {share}"
            )
        each = num_embeddings + embedding_dim
        correction_dim = (values - network(features)) // each
        return cls(_filters(largest(values - correction_dim * each)), correction_dim)


def _filters(features: int) -> list[tuple[int, int]]:
    counts = [features * part // sum(_PARTS) for part in _PARTS]
    counts[-1] += features - sum(counts)
    return list(enumerate(counts, start=1))
