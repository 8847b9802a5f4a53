"""Where the trained values of codes with rows do most good."""

from dataclasses import dataclass

from fairseq_alone.errors import SettingError

# Measured on Multi30k: benchmarks/corpus. Checkpoints depend on these numbers: they must never change.
_NUM_CODEBOOKS = 4
_LARGEST_CODEBOOK = 256  # a code is a byte
_WORDS_OF_A_PART = 64  # at least so many words share a part, on average
_CODE_VALUES = 0.35  # of all values, at most, in codebooks
_WIDE_VALUES = 0.25  # of the rest, in rows of width D_e for the most frequent words
_LARGEST_SHARE = 0.75

# For a trained table: words with a wide row, the most of all values that these take, and the size of codebooks.
_WIDE_WORDS = 1 / 16
_MOST_WIDE_VALUES = 0.4
_SMALL_CODEBOOK = 16


@dataclass(frozen=True)
class CodeBudget:
    """Sizes of a :class:`~fairseq_alone.modules.CodeEmbedding` with rows.

    Attributes:
        num_codebooks: M.
        codebook_size: c.
        free_rows: bands of words with a row of their own; each word but padding is in one.
    """

    num_codebooks: int
    codebook_size: int
    free_rows: list[tuple[int, int]]

    @classmethod
    def of_share(cls, share: float, num_embeddings: int, embedding_dim: int) -> "CodeBudget":
        """Divide ``share`` of a table's ``V * D_e`` values among codebooks, wide rows and narrow rows.

        Args:
            share: greater than 0, at most 0.75; then the embedding has at most ``share * V * D_e`` trained values, and
                at least that many less V: narrow rows have a whole number of values. Codes come on top: M bytes a word.
            num_embeddings: vocabulary size V, padding included.
            embedding_dim: D_e.

        Raises:
            SettingError: the share is outside its range, or too small for V and D_e.
        """
        if not 0.0 < share <= _LARGEST_SHARE:
            raise SettingError("share", f"must be greater than 0 and at most {_LARGEST_SHARE}, got {share}")
        values = int(share * num_embeddings * embedding_dim)
        size = _LARGEST_CODEBOOK
        # Random codes, with which an embedding is built, must tell all words apart.
        while (size // 2) ** _NUM_CODEBOOKS >= max(num_embeddings, 2**_NUM_CODEBOOKS) and (
            _NUM_CODEBOOKS * size * embedding_dim > _CODE_VALUES * values or size * _WORDS_OF_A_PART > num_embeddings
        ):
            size //= 2
        left = values - _NUM_CODEBOOKS * size * embedding_dim
        wide = int(_WIDE_VALUES * left / embedding_dim)
        narrow = num_embeddings - 1 - wide
        width = (left - wide * embedding_dim) // (narrow + embedding_dim)
        if width < 1 or wide < 1:
            raise SettingError(
                "share", f"is too small for {num_embeddings} words and vectors of {embedding_dim} values, got {share}"
            )
        # What the rounding of the width leaves becomes wide rows.
        while True:
            used = (wide + 1) * embedding_dim + width * (narrow - 1 + embedding_dim)
            if used > left or narrow <= 1:
                break
            wide, narrow = wide + 1, narrow - 1
        return cls(_NUM_CODEBOOKS, size, [(wide, embedding_dim), (narrow, width)])

    @classmethod
    def of_trained(cls, share: float, num_embeddings: int, embedding_dim: int) -> "CodeBudget":
        """The same for an embedding that takes over a trained table.

        The table tells which words have what in common, so many small codebooks say more than narrow rows do; see
        ``docs/compress.md``.

        Args:
            share: greater than 0, at most 0.75.
            num_embeddings: vocabulary size V, padding included.
            embedding_dim: D_e.

        Returns:
            Codebooks of 16 vectors and one band of wide rows; at most ``share * V * D_e`` values.

        Raises:
            SettingError: the share is outside its range, or too small for V and D_e.
        """
        if not 0.0 < share <= _LARGEST_SHARE:
            raise SettingError("share", f"must be greater than 0 and at most {_LARGEST_SHARE}, got {share}")
        rows = int(share * num_embeddings)  # as many values as this many rows of D_e
        wide = min(int(_WIDE_WORDS * num_embeddings), int(_MOST_WIDE_VALUES * rows))
        books = (rows - wide) // _SMALL_CODEBOOK
        if wide < 1 or books < 1 or _SMALL_CODEBOOK ** min(books, 64) < num_embeddings:
            raise SettingError(
                "share", f"is too small for {num_embeddings} words and vectors of {embedding_dim} values, got {share}"
            )
        return cls(books, _SMALL_CODEBOOK, [(wide, embedding_dim)])
