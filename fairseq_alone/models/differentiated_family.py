"""Blocks of words with dimensions of their own as a family (Chen, Grangier and Auli, ACL 2016)."""
# ruff: noqa: UP045

import re
from argparse import Namespace
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Optional  # fairseq makes a flag of Optional[str], not of str | None

from fairseq.data import Dictionary
from fairseq.dataclass import FairseqDataclass
from torch import Tensor

from fairseq_alone.errors import SettingError
from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.models.family_flags import flag
from fairseq_alone.models.word_order import warn_unless_sorted
from fairseq_alone.modules import DifferentiatedEmbedding

# Without either flag.
_SHARE = 0.25


@dataclass
class DifferentiatedFlags(FairseqDataclass):
    """The ``--differentiated-`` flags."""

    differentiated_blocks: Optional[str] = flag(
        None,
        "words and dimensions of each block, the first words of the dictionary first: 2000x256,8000x96,restx32 makes "
        "D_e 384; the words count fairseq's own symbols, and rest is what is left; default: those of "
        f"--differentiated-share {_SHARE}",
        "NxD,...,restxD",
    )
    differentiated_share: Optional[float] = flag(
        None,
        "size of the embedding, that of a table V x D_e = 1, more than 0.125 and less than 0.75: chooses the blocks",
        "SHARE",
    )


class DifferentiatedFamily(EmbeddingFamily):
    """:class:`~fairseq_alone.modules.DifferentiatedEmbedding` and the ``--differentiated-`` flags."""

    name, class_name = "differentiated", "Differentiated"
    flags = DifferentiatedFlags
    flag_prefix = "--differentiated-"
    report_rows = {"differentiated_blocks": "blocks of words x dimensions"}

    @classmethod
    def build_from_flags(
        cls, args: Namespace, num_embeddings: int, embed_dim: int, padding_idx: int | None, stream: int
    ) -> DifferentiatedEmbedding:
        """Build the embedding; it has nothing random that is not trained, so ``stream`` is unused."""
        text, share = args.differentiated_blocks, args.differentiated_share
        if text is not None and share is not None:
            raise SettingError("blocks", "contradicts --differentiated-share; give one of the two")
        if text is not None:
            blocks = read_blocks(text, num_embeddings, embed_dim)
        else:
            blocks = blocks_of_share(_SHARE if share is None else share, num_embeddings, embed_dim)
        return DifferentiatedEmbedding(num_embeddings, embed_dim, padding_idx, blocks=blocks)

    @classmethod
    def check_dictionary(cls, embedding: DifferentiatedEmbedding, args: Namespace, dictionary: Dictionary) -> None:
        """Warn when the wide blocks would go to rare words."""
        warn_unless_sorted(dictionary, list(accumulate(words for words, _ in embedding.block_sizes))[:-1])

    @classmethod
    def flags_of_share(cls, share: float, num_embeddings: int, embed_dim: int) -> dict[str, object]:
        """``--differentiated-share``, once it is known to be possible."""
        blocks_of_share(share, num_embeddings, embed_dim)
        return {"differentiated_share": share}

    @classmethod
    def start_from(cls, embedding: DifferentiatedEmbedding, vectors: Tensor, weights: Tensor) -> None:
        """Copy the slice of each word's vector that its block has."""
        embedding.start_from(vectors)

    @classmethod
    def module_settings(cls, embedding: DifferentiatedEmbedding) -> dict[str, Any]:
        """Sizes."""
        names = ("num_embeddings", "embedding_dim", "padding_idx")
        return {**{name: getattr(embedding, name) for name in names}, "blocks": embedding.block_sizes}

    @classmethod
    def describe(cls, tensors: dict[str, Tensor]) -> dict | None:
        """Sizes from the blocks."""
        blocks = [
            tensors[name].shape for name in (f"blocks.{number}" for number in range(len(tensors))) if name in tensors
        ]
        if not blocks:
            return None
        return {
            "vocabulary": sum(words for words, _ in blocks),
            "embed_dim": sum(dims for _, dims in blocks),
            "differentiated_blocks": ",".join(f"{words}x{dims}" for words, dims in blocks),
        }

    @classmethod
    def variant(cls, settings: dict) -> str:
        """The blocks."""
        return settings["differentiated_blocks"]


def read_blocks(text: str, num_embeddings: int, embed_dim: int) -> list[tuple[int, int]]:
    """Read ``--differentiated-blocks``.

    Args:
        text: blocks ``NxD`` with commas between; the last one may be ``restxD``. Spaces do not matter.
        num_embeddings: V.
        embed_dim: D_e.

    Returns:
        Words and dimensions of each block.

    Raises:
        SettingError: the text is of another form, or the sums are not V and D_e; tells both sums.
    """
    blocks: list[tuple[int, int]] = []
    written = re.sub(r"\s", "", text).split(",")
    for number, part in enumerate(written, start=1):
        block = re.fullmatch(r"([0-9]+|rest)x([0-9]+)", part)
        if block is None or (block[1] == "rest" and number < len(written)):
            raise SettingError("blocks", f"must be like 2000x256,8000x96,restx32, got '{text}'")
        before = sum(words for words, _ in blocks)
        blocks.append((num_embeddings - before if block[1] == "rest" else int(block[1]), int(block[2])))
    words, dims = sum(max(words, 0) for words, _ in blocks), sum(dims for _, dims in blocks)
    if (words, dims) != (num_embeddings, embed_dim) or min(map(min, blocks)) < 1:
        raise SettingError(
            "blocks",
            f"must have V = {num_embeddings} words and D_e = {embed_dim} dimensions in all, and something in each "
            f"block; '{text}' has {words} words{' before its rest' * (blocks[-1][0] < 1)} and {dims} dimensions",
        )
    return blocks


def blocks_of_share(share: float, num_embeddings: int, embed_dim: int) -> list[tuple[int, int]]:
    """The blocks of an embedding that has a share of the values of a table V x D_e.

    Below 3/8 there are three: n words have 5/8 of the dimensions, the next 2n words a quarter, and all others an
    eighth. From there on, n words have three quarters and all others a quarter. n follows from the share.

    Raises:
        SettingError: no n gives the share.
    """
    if not 0.125 < share < 0.75:
        raise SettingError("share", f"must be more than 0.125 and less than 0.75, got {share}")
    values = share * embed_dim  # of a word, in the mean
    if share < 0.375:
        middle, narrow = max(embed_dim // 4, 1), max(embed_dim // 8, 1)
        dims = [embed_dim - middle - narrow, middle, narrow]
        # V * values = n * dims[0] + 2 n * middle + (V - 3 n) * narrow
        first = round(num_embeddings * (values - narrow) / max(dims[0] + 2 * middle - 3 * narrow, 1))
        words = [first, 2 * first, num_embeddings - 3 * first]
    else:
        narrow = max(embed_dim // 4, 1)
        dims = [embed_dim - narrow, narrow]
        first = round(num_embeddings * (values - narrow) / max(dims[0] - narrow, 1))
        words = [first, num_embeddings - first]
    if min(words) < 1 or min(dims) < 1:
        raise SettingError(
            "share", f"cannot be {share} with V = {num_embeddings} and D_e = {embed_dim}; give --differentiated-blocks"
        )
    return list(zip(words, dims, strict=True))
