"""Compositional codes as a family of embeddings (Shu and Nakayama, ICLR 2018)."""
# ruff: noqa: UP045

from argparse import Namespace
from dataclasses import dataclass
from typing import Any, Optional  # fairseq makes a flag of Optional[str], not of str | None

import torch
from fairseq.data import Dictionary
from fairseq.dataclass import FairseqDataclass
from torch import Tensor

from fairseq_alone.corpus.codes import codebooks_for, made_unique, residual_codes
from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.models.alone_family import free_rows, written_free_rows
from fairseq_alone.models.codes_file import set_codes_of_file
from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.models.family_flags import flag
from fairseq_alone.models.word_order import warn_unless_sorted
from fairseq_alone.modules import CodeEmbedding
from fairseq_alone.modules.code_budget import CodeBudget
from fairseq_alone.modules.fit import chances_of

# Of the first centres of clusters.
_SEED = 1


@dataclass
class CodeFlags(FairseqDataclass):
    """The ``--codes-`` flags."""

    codes_num_codebooks: int = flag(32, "codebooks M; a word's vector is a sum of one vector of each", "M")
    codes_codebook_size: int = flag(16, "vectors c in a codebook; the trained size is M * c * D_e", "C")
    codes_seed: int = flag(1, "seed of random codes", "SEED", training_only=True)
    codes_share: Optional[float] = flag(
        None,
        "size of the embedding, that of a table V x D_e = 1, at most 0.75: chooses M, c and the free rows",
        "SHARE",
    )
    codes_free_rows: str = flag(
        "0",
        "the first words of the dictionary, which are the most frequent, have rows of their own: 500 is 500 rows of "
        "D_e values in place of the sum; 500,7000x20 is these, then 7000 of 20 values with a projection, added to it",
        "K[xD],...",
    )
    codes_file: Optional[str] = flag(
        None,
        "codes of the words in place of random ones: a line has a word and its M whole numbers from 0 to c - 1; words "
        "without a line keep random codes; for the training, a checkpoint holds its codes",
        "FILE",
        training_only=True,
    )


class CodeFamily(EmbeddingFamily):
    """:class:`~fairseq_alone.modules.CodeEmbedding` and the ``--codes-`` flags."""

    name, class_name = "codes", "Code"
    flags = CodeFlags
    flag_prefix = "--codes-"
    report_rows = {"code_codebooks": "M codebooks of codes", "code_size": "c vectors each", "free_rows": "free rows"}

    @classmethod
    def build_from_flags(
        cls, args: Namespace, num_embeddings: int, embed_dim: int, padding_idx: int, stream: int
    ) -> CodeEmbedding:
        """Build an embedding with random codes; :meth:`check_dictionary` reads those of a file."""
        books, size = args.codes_num_codebooks, args.codes_codebook_size
        rows = free_rows(args.codes_free_rows, embed_dim)
        if args.codes_share is not None:
            defaults = CodeFlags()
            for name in ("num_codebooks", "codebook_size", "free_rows"):
                if getattr(args, f"codes_{name}") != getattr(defaults, f"codes_{name}"):
                    raise SettingError(name, "follows from --codes-share; give one of the two")
            budget = CodeBudget.of_share(args.codes_share, num_embeddings, embed_dim)
            books, size, rows = budget.num_codebooks, budget.codebook_size, budget.free_rows
        embedding = CodeEmbedding(
            num_embeddings,
            embed_dim,
            padding_idx,
            num_codebooks=books,
            codebook_size=size,
            seed=args.codes_seed,
            stream=stream,
            free_rows=rows,
        )
        embedding.rebuild = "update"
        return embedding

    @classmethod
    def flags_of_share(cls, share: float, num_embeddings: int, embed_dim: int) -> dict[str, object]:
        """``--codes-share``, once it is known to be possible."""
        CodeBudget.of_share(share, num_embeddings, embed_dim)
        return {"codes_share": share}

    @classmethod
    def start_from(cls, embedding: CodeEmbedding, vectors: Tensor, weights: Tensor) -> None:
        """Rows take the nearest vectors of their width; codes and codebooks come from what the rows leave.

        Codes of a file stay; then only the codebooks are fitted. Without rows no two words get the same codes.

        Raises:
            UserError: the file of codes is missing.
        """
        if embedding.awaited_codes is not None:
            raise UserError(embedding.awaited_codes)
        # Half of the weight of their frequency, so that rare words count, too.
        weights = chances_of(weights)
        embedding.free.start_from(vectors, weights)
        with torch.no_grad():
            embedding.codebooks.zero_()
            left = (vectors - embedding.matrix()).numpy()
        shares = weights.double().numpy()
        # Words with a wide row have no use for codes.
        shares[embedding.wide_words.numpy()] = 0.0
        size = embedding.codebook_size
        if embedding.codes_are_given:
            codebooks = codebooks_for(embedding.codes.numpy(), left, shares, size)
        else:
            codes, codebooks = residual_codes(left, shares, embedding.num_codebooks, size, _SEED)
            if not embedding.free.num_rows:
                codes = made_unique(codes, left, codebooks, _SEED)
            embedding.set_codes(torch.from_numpy(codes))
        embedding.set_codebooks(torch.from_numpy(codebooks))

    @classmethod
    def module_settings(cls, embedding: CodeEmbedding) -> dict[str, Any]:
        """Sizes. The codes are among the tensors, so the seed that they once came from does not matter."""
        names = ("num_embeddings", "embedding_dim", "padding_idx", "num_codebooks", "codebook_size")
        rows = [[band.num_rows, band.rows.size(1)] for band in embedding.free.bands]
        return {**{name: getattr(embedding, name) for name in names}, "free_rows": rows}

    @classmethod
    def describe(cls, tensors: dict[str, Tensor]) -> dict | None:
        """Sizes from the codes and the codebooks."""
        if not {"codes", "codebooks"} <= tensors.keys():
            return None
        (vocabulary, books), (vectors, embed_dim) = tensors["codes"].shape, tensors["codebooks"].shape
        sizes = {"code_codebooks": books, "code_size": vectors // books, "free_rows": written_free_rows(tensors)}
        return {"vocabulary": vocabulary, "embed_dim": embed_dim, **sizes}

    @classmethod
    def check_dictionary(cls, embedding: CodeEmbedding, args: Namespace, dictionary: Dictionary) -> None:
        """Read the codes of ``--codes-file``; warn when rows would go to rare words.

        A model that is loaded from a checkpoint does not need the file.
        """
        warn_unless_sorted(dictionary, embedding.free.band_ends)
        if args.codes_file is not None:
            set_codes_of_file(embedding, "--codes-file", args.codes_file, dictionary)
