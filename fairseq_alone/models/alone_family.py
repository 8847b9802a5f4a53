"""ALONE as a family of embeddings (Takase and Kobayashi, NeurIPS 2020)."""
# ruff: noqa: UP045

import dataclasses
import functools
import logging
import re
from argparse import Namespace
from dataclasses import dataclass
from typing import Any, Optional  # fairseq makes a flag of Optional[int], not of int | None

import torch
from fairseq.data import Dictionary
from fairseq.dataclass import FairseqDataclass
from torch import Tensor

from fairseq_alone.corpus.codes import made_unique, residual_codes
from fairseq_alone.errors import SettingError
from fairseq_alone.models.codes_file import set_codes_of_file
from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.models.family_flags import fill_in, flag
from fairseq_alone.models.word_order import warn_unless_sorted
from fairseq_alone.modules import AloneBudget, AloneEmbedding, FilterSettings
from fairseq_alone.modules.alone_fit import fit_network
from fairseq_alone.modules.filters import UNUSED_SETTINGS, read_fingerprint
from fairseq_alone.optim.adam_muon import EMBEDDING_NETWORK

logger = logging.getLogger(__name__)

# --alone-codes without a file.
_RANDOM, _CORPUS = "random", "corpus"

# Of the first centres of clusters.
_SEED = 1


@dataclass
class AloneFlags(FairseqDataclass):
    """The ``--alone-`` flags. M, c and p_o are those of the paper (section 3.1)."""

    alone_filter: str = flag(
        "binary",
        "binary (equation 2), real (Gaussian sources, summed) or naive (explicit V x D_o)",
        "KIND",
    )
    alone_base_dim: Optional[int] = flag(
        None,
        "size of the base vector and of the filters; default: that of the embedding",
        "D_O",
    )
    alone_inter_dim: Optional[int] = flag(
        4096,
        "width of the embedding network; the trained size is D_inter * (D_o + D_e) + D_o",
        "D_INTER",
    )
    alone_num_layers: int = flag(2, "layers of the embedding network: 1, 2 or 3", "N")
    alone_num_codebooks: int = flag(8, "codebooks of the filters", "M")
    alone_codebook_size: int = flag(64, "source vectors in a codebook", "C")
    alone_codes: str = flag(
        _RANDOM,
        "codes of the filters: random (the paper's), corpus (words that occur alike share codes, learned when a new "
        "training begins, from the vectors of --embedding-init or, without, of the training data), or a FILE: a line "
        "has a word and its M whole numbers from 0 to c - 1; a checkpoint holds the codes of corpus and FILE",
        "WHAT",
    )
    alone_zero_probability: float = flag(0.5, "expected share of zeros in a binary or naive filter", "P_O")
    alone_filter_std: float = flag(1.0, "standard deviation of a real filter's values", "STD")
    alone_seed: int = flag(1, "seed of the filters; a checkpoint works with its own seed only", "SEED")
    alone_dropout: float = flag(
        0.0,
        "dropout after the ReLU of the embedding network, on input look-ups only; words with a free row have none",
        "P",
        training_only=True,
    )
    alone_dropout_until: int = flag(
        0,
        "switch that dropout off from update N on; 0 keeps it on",
        "N",
        training_only=True,
    )
    alone_fix_base: bool = flag(
        False,
        "do not train the base vector (the paper's ablation); with --embedding-init, training keeps more of the start",
    )
    alone_init: str = flag(
        "balanced",
        "initial values: balanced (the default; computed vectors are as long as a table's), or published (the "
        "distributions of the authors' code)",
        "INIT",
        training_only=True,
    )
    alone_share: Optional[float] = flag(
        None,
        "size of the embedding, that of a table V x D_e = 1, at most 0.75: chooses D_o, D_inter and free rows so "
        "that the model learns about as fast as with a table; the filter is then real unless given; without it "
        "the settings are the paper's",
        "SHARE",
    )
    alone_free_rows: Optional[str] = flag(
        "0",
        "the first words of the dictionary, which are the most frequent, have a trained vector in place of a "
        "computed one: 2000 is 2000 rows of D_e values; 2000,4500x64 is these, then 4500 of 64 values with a "
        "projection (64 x D_e)",
        "K[xD],...",
    )
    alone_rebuild: str = flag(
        "update",
        "compute the embedding matrix once per update (the default) or in each forward pass; both train alike",
        choices=("update", "forward"),
        training_only=True,
    )


class AloneFamily(EmbeddingFamily):
    """:class:`~fairseq_alone.modules.AloneEmbedding` and the ``--alone-`` flags."""

    name, class_name = "alone", "Alone"
    flags = AloneFlags
    flag_prefix = "--alone-"
    # The default, 4096, is a quarter of a table of 32k words with 512 dimensions; 8192 is half. D_inter 512 is the
    # smaller of the paper's two models for headlines.
    shape_defaults = {
        "tiny": {"alone_inter_dim": 1024},
        "iwslt_de_en": {"alone_inter_dim": 2048},
        "duc": {"alone_inter_dim": 512},
    }
    report_rows = {
        "filter": "filter",
        "base_dim": "D_o",
        "inter_dim": "D_inter",
        "num_layers": "layers of the embedding",
        "num_codebooks": "M codebooks",
        "codebook_size": "c columns each",
        "zero_probability": "p_o",
        "filter_std": "std of real filter",
        "seed": "filter seed",
        "codes": "codes of the filters",
        "code_bytes": "bytes of learned or given codes",
        "filter_memory": "bytes of filters in memory",
        "free_rows": "free rows",
    }

    @classmethod
    def fill_defaults(cls, args: Namespace, shape: str) -> None:
        """Fill in the flags that were not given. With ``--alone-share`` the sizes that follow from it stay None."""
        if getattr(args, "alone_share", None) is None:
            super().fill_defaults(args, shape)
        else:
            fill_in(args, cls.flags, alone_filter="real", alone_inter_dim=None, alone_free_rows=None)

    @classmethod
    def flags_of_share(cls, share: float, num_embeddings: int, embed_dim: int) -> dict[str, object]:
        """``--alone-share``, once it is known to be possible."""
        AloneBudget.of_share(share, num_embeddings, embed_dim)
        return {"alone_share": share}

    @classmethod
    def module_settings(cls, embedding: AloneEmbedding) -> dict[str, Any]:
        """Sizes and the settings of the filters; nothing that counts in training only."""
        names = ("embedding_dim", "padding_idx", "inter_dim", "num_layers")
        # Without given codes the name is left out, as by versions that knew no other.
        given = {"given_codes": True} if embedding.filters.given_codes else {}
        return {
            **given,
            "settings": dataclasses.asdict(embedding.filters.settings),
            **{name: getattr(embedding, name) for name in names},
            "free_rows": [[band.num_rows, band.rows.size(1)] for band in embedding.free.bands],
        }

    @classmethod
    def wants_vectors(cls, args: Namespace) -> str | None:
        """For codes that are learned from the corpus."""
        return "--alone-codes corpus" if getattr(args, "alone_codes", _RANDOM) == _CORPUS else None

    @classmethod
    def learn_codes(cls, embedding: AloneEmbedding, vectors: Tensor, weights: Tensor) -> None:
        """With ``--alone-codes corpus``, words that behave alike share codes, by residual k-means; no two have all."""
        if not embedding.learns_codes:
            return
        settings, values = embedding.filters.settings, vectors.numpy()
        counts = weights.numpy().astype(float)
        size = min(settings.codebook_size, settings.num_embeddings)
        codes, codebooks = residual_codes(values, counts, settings.num_codebooks, size, _SEED)
        embedding.set_codes(torch.from_numpy(made_unique(codes, values, codebooks, _SEED)))

    @classmethod
    def start_from(cls, embedding: AloneEmbedding, vectors: Tensor, weights: Tensor) -> None:
        """Free rows take the vectors of their words; the network is fitted to those of all others (equation 4).

        Before, the codes are learned where they are awaited from the corpus.
        """
        cls.learn_codes(embedding, vectors, weights)
        embedding.free.start_from(vectors, weights)
        if embedding.free.num_words < embedding.num_embeddings:
            fit_network(embedding, vectors, weights)

    @classmethod
    def describe(cls, tensors: dict[str, Tensor]) -> dict | None:
        """Sizes from the network's matrices, settings of the filters from their fingerprint."""
        layers = [tensors[name] for name in ("w1", "w2", "w3") if name in tensors]
        fingerprint = tensors.get("filters.filter_version")
        if not layers or fingerprint is None:
            return None
        filters = read_fingerprint(fingerprint)
        codes = tensors.get("filters.codes")
        unused = UNUSED_SETTINGS[filters["filter"]]
        names = ("num_codebooks", "codebook_size", "zero_probability", "filter_std")
        return {
            "vocabulary": filters["num_embeddings"],
            "embed_dim": layers[-1].size(0),
            "filter": filters["filter"],
            "base_dim": filters["base_dim"],
            "inter_dim": layers[0].size(0) if len(layers) > 1 else None,
            "num_layers": len(layers),
            **{name: None if name in unused else filters[name] for name in names},
            "seed": filters["seed"],
            "codes": None if filters["filter"] == "naive" else filters["codes"],
            "code_bytes": codes.nbytes if codes is not None else None,
            "filter_memory": _filter_settings(filters).memory(given_codes=codes is not None),
            "free_rows": written_free_rows(tensors),
        }

    @classmethod
    def variant(cls, settings: dict) -> str:
        """The kind of filter, whether its codes are random, and whether there are rows."""
        parts = (
            settings["filter"],
            settings["codes"] not in (None, _RANDOM) and f"{settings['codes']} codes",
            settings["free_rows"] and "free rows",
        )
        return ", ".join(part for part in parts if part)

    @classmethod
    def build_from_flags(
        cls, args: Namespace, num_embeddings: int, embed_dim: int, padding_idx: int, stream: int
    ) -> AloneEmbedding:
        """Build an ALONE embedding from the ``--alone-`` flags."""
        sizes = _sizes(args, num_embeddings, embed_dim)
        defaults = cls.flags()
        for name in UNUSED_SETTINGS.get(args.alone_filter, ()):
            if getattr(args, f"alone_{name}") != getattr(defaults, f"alone_{name}"):
                flag = f"--alone-{name.replace('_', '-')}"
                _warn_once(f"{flag} has no effect with --alone-filter {args.alone_filter}")
        if args.alone_dropout_until and not args.alone_dropout:
            _warn_once("--alone-dropout-until has no effect without --alone-dropout")
        settings = FilterSettings(
            num_embeddings=num_embeddings,
            base_dim=sizes.base_dim,
            filter=args.alone_filter,
            num_codebooks=args.alone_num_codebooks,
            codebook_size=args.alone_codebook_size,
            zero_probability=args.alone_zero_probability,
            filter_std=args.alone_filter_std,
            seed=args.alone_seed,
            stream=stream,
        )
        embedding = AloneEmbedding(
            settings,
            embed_dim,
            padding_idx,
            inter_dim=sizes.inter_dim,
            num_layers=args.alone_num_layers,
            dropout=args.alone_dropout,
            dropout_until=args.alone_dropout_until,
            fix_base=args.alone_fix_base,
            free_rows=sizes.free_rows,
            init=args.alone_init,
            given_codes=args.alone_codes != _RANDOM,
        )
        embedding.learns_codes = args.alone_codes == _CORPUS
        embedding.rebuild = args.alone_rebuild
        for layer in embedding.layers:
            # fairseq's mark on a parameter; torch does not know it.
            layer.param_group = EMBEDDING_NETWORK  # type: ignore[attr-defined]
        return embedding

    @classmethod
    def check_dictionary(cls, embedding: AloneEmbedding, args: Namespace, dictionary: Dictionary) -> None:
        """Read the codes of a file; warn when free rows would go to rare words."""
        warn_unless_sorted(dictionary, embedding.free.band_ends)
        if args.alone_codes not in (_RANDOM, _CORPUS):
            set_codes_of_file(embedding, "--alone-codes", args.alone_codes, dictionary)

    @classmethod
    def forget_files(cls, flags: dict[str, Any]) -> None:
        """A loaded model has its codes, wherever they once came from."""
        if flags.get("alone_codes", _RANDOM) != _RANDOM:
            flags["alone_codes"] = _CORPUS


@functools.cache
def _warn_once(message: str) -> None:
    # An untied model builds several embeddings from the same flags.
    logger.warning(message)


def _filter_settings(fingerprint: dict) -> FilterSettings:
    return FilterSettings(**{field.name: fingerprint[field.name] for field in dataclasses.fields(FilterSettings)})


def _sizes(args: Namespace, num_embeddings: int, embed_dim: int) -> AloneBudget:
    share, rows = args.alone_share, args.alone_free_rows
    if share is None:
        base_dim = embed_dim if args.alone_base_dim is None else args.alone_base_dim
        return AloneBudget(base_dim, args.alone_inter_dim, free_rows(rows, embed_dim))
    for name, value in (("base_dim", args.alone_base_dim), ("inter_dim", args.alone_inter_dim), ("free_rows", rows)):
        if value is not None:
            raise SettingError(name, "follows from --alone-share; give one of the two")
    if args.alone_num_layers != 2:
        raise SettingError("num_layers", f"must be 2 with --alone-share, got {args.alone_num_layers}")
    # The sizes were chosen for computed vectors as long as the rows are.
    if args.alone_init != "balanced":
        raise SettingError("init", f"must be balanced with --alone-share, got {args.alone_init}")
    return AloneBudget.of_share(share, num_embeddings, embed_dim)


def free_rows(text: str, embed_dim: int) -> list[tuple[int, int]]:
    """Read ``--alone-free-rows``: bands ``K`` or ``KxD`` with commas between; ``0`` is none.

    Args:
        text: the flag.
        embed_dim: D_e, the width of rows whose width is not given.

    Returns:
        For each band the number of its words and the width of their rows.

    Raises:
        SettingError: the text is of another form.
    """
    if text == "0":
        return []
    bands = []
    for written in text.split(","):
        band = re.fullmatch(r"([0-9]+)(?:x([0-9]+))?", written)
        if band is None:
            raise SettingError("free_rows", f"must be like 2000 or 2000,4500x64, got '{text}'")
        bands.append((int(band[1]), int(band[2] or embed_dim)))
    return bands


def written_free_rows(tensors: dict[str, Tensor]) -> str | None:
    """The free rows as ``--alone-free-rows`` writes them, without the width where it is D_e."""
    bands: list[str] = []
    while f"free.bands.{len(bands)}.rows" in tensors:
        num_rows, width = tensors[f"free.bands.{len(bands)}.rows"].shape
        narrow = f"free.bands.{len(bands)}.projection" in tensors
        bands.append(f"{num_rows}x{width}" if narrow else str(num_rows))
    return ",".join(bands) or None
