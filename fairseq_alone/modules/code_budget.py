"""Where the trained values of codes with rows do most good."""

from dataclasses import dataclass

from fairseq_alone.errors import SettingError

# Measured on Multi30k: benchmarks/corpus. Checkpoints depend on these numbers: they must never change.
_WIDE_WORDS = 1 / 16  # words with a row of width D_e, the most frequent ones ...
_MOST_WIDE_VALUES = 0.4  # ... as far as they need no more than this share of all values
# Small codebooks say most with few values, but the more of them, the more is added up: they grow with the vocabulary.
_WORDS_OF_A_VECTOR = 500
_SMALLEST_CODEBOOK, _LARGEST_CODEBOOK = 16, 256  # a code is a byte
_LARGEST_SHARE = 0.75


@dataclass(frozen=True)
class CodeBudget:
    """Sizes of a :class:`~fairseq_alone.modules.CodeEmbedding` with rows.

    Attributes:
        num_codebooks: M.
        codebook_size: c, a power of two.
        free_rows: one band of wide rows.
    """

    num_codebooks: int
    codebook_size: int
    free_rows: list[tuple[int, int]]

    @classmethod
    def of_share(cls, share: float, num_embeddings: int, embedding_dim: int) -> "CodeBudget":
        """Divide ``share`` of a table's ``V * D_e`` values among wide rows and codebooks.

        Args:
            share: greater than 0, at most 0.75; then the embedding has at most ``share * V * D_e`` trained values.
                Codes come on top: M numbers of log2(c) bits a word.
            num_embeddings: vocabulary size V, padding included.
            embedding_dim: D_e.

        Raises:
            SettingError: the share is outside its range, or too small for V and D_e.
        """
        if not 0.0 < share <= _LARGEST_SHARE:
            raise SettingError("share", f"must be greater than 0 and at most {_LARGEST_SHARE}, got {share}")
        rows = int(share * num_embeddings)  # as many values as this many rows of D_e
        wide = min(int(_WIDE_WORDS * num_embeddings), int(_MOST_WIDE_VALUES * rows))
        size = _SMALLEST_CODEBOOK
        while size < _LARGEST_CODEBOOK and 2 * size * _WORDS_OF_A_VECTOR <= num_embeddings:
            size *= 2
        # No two words may have the same codes.
        while size > 2 and size ** min((rows - wide) // size, 64) < num_embeddings:
            size //= 2
        books = (rows - wide) // size
        if wide < 1 or size ** min(books, 64) < num_embeddings:
            raise SettingError(
                "share", f"is too small for {num_embeddings} words and vectors of {embedding_dim} values, got {share}"
            )
        return cls(books, size, [(wide, embedding_dim)])
