"""ALONE as a family of embeddings (Takase and Kobayashi, NeurIPS 2020)."""

import functools
import logging
import re

from fairseq_alone.errors import SettingError
from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.models.word_order import warn_unless_sorted
from fairseq_alone.modules import AloneBudget, AloneEmbedding, FilterSettings
from fairseq_alone.modules.filters import UNUSED_SETTINGS
from fairseq_alone.optim.adam_muon import EMBEDDING_NETWORK

logger = logging.getLogger(__name__)

# M, c and p_o are those of the paper (section 3.1).
_FILTER_DEFAULTS = {"num_codebooks": 8, "codebook_size": 64, "zero_probability": 0.5, "filter_std": 1.0}


class AloneFamily(EmbeddingFamily):
    """:class:`~fairseq_alone.modules.AloneEmbedding` and the ``--alone-`` flags."""

    flag_prefix = "--alone-"

    @classmethod
    def add_args(cls, parser) -> None:
        """Add the ``--alone-`` flags."""
        # fmt: off
        parser.add_argument("--alone-filter", metavar="KIND",
                            help="binary (equation 2), real (Gaussian sources, summed) or naive (explicit V x D_o)")
        parser.add_argument("--alone-base-dim", type=int, metavar="D_O",
                            help="size of the base vector and of the filters; default: that of the embedding")
        parser.add_argument("--alone-inter-dim", type=int, metavar="D_INTER",
                            help="width of the embedding network; the trained size is D_inter * (D_o + D_e) + D_o")
        parser.add_argument("--alone-num-layers", type=int, metavar="N",
                            help="layers of the embedding network: 1, 2 or 3")
        parser.add_argument("--alone-num-codebooks", type=int, metavar="M",
                            help="codebooks of the filters")
        parser.add_argument("--alone-codebook-size", type=int, metavar="C",
                            help="source vectors in a codebook")
        parser.add_argument("--alone-zero-probability", type=float, metavar="P_O",
                            help="expected share of zeros in a binary or naive filter")
        parser.add_argument("--alone-filter-std", type=float, metavar="STD",
                            help="standard deviation of a real filter's values")
        parser.add_argument("--alone-seed", type=int, metavar="SEED",
                            help="seed of the filters; a checkpoint works with its own seed only")
        parser.add_argument("--alone-dropout", type=float, metavar="P",
                            help="dropout after the ReLU of the embedding network, on input look-ups only; words "
                                 "with a free row have none")
        parser.add_argument("--alone-dropout-until", type=int, metavar="N",
                            help="switch that dropout off from update N on; 0 keeps it on")
        parser.add_argument("--alone-fix-base", action="store_true",
                            help="do not train the base vector (the paper's ablation)")
        parser.add_argument("--alone-init", metavar="INIT",
                            help="initial values: balanced (the default; computed vectors are as long as a table's), "
                                 "or published (the distributions of the authors' code)")
        parser.add_argument("--alone-share", type=float, metavar="SHARE",
                            help="size of the embedding, that of a table V x D_e = 1, at most 0.75: chooses D_o, "
                                 "D_inter and free rows so that the model learns about as fast as with a table; "
                                 "the filter is then real unless given; without it the settings are the paper's")
        parser.add_argument("--alone-free-rows", metavar="K[xD],...",
                            help="the first words of the dictionary, which are the most frequent, have a trained "
                                 "vector in place of a computed one: 2000 is 2000 rows of D_e values; 2000,4500x64 "
                                 "is these, then 4500 of 64 values with a projection (64 x D_e)")
        parser.add_argument("--alone-rebuild", choices=["update", "forward"],
                            help="compute the embedding matrix once per update (the default) or in each "
                                 "forward pass; both train alike")
        # fmt: on

    @classmethod
    def fill_defaults(cls, args, inter_dim: int) -> None:
        """Fill in the ``--alone-`` flags that were not given.

        With ``--alone-share`` the sizes that follow from it stay None.
        """
        args.alone_share = getattr(args, "alone_share", None)
        sized = args.alone_share is not None
        args.alone_filter = getattr(args, "alone_filter", "real" if sized else "binary")
        args.alone_base_dim = getattr(args, "alone_base_dim", None)
        args.alone_inter_dim = getattr(args, "alone_inter_dim", None if sized else inter_dim)
        args.alone_free_rows = getattr(args, "alone_free_rows", None if sized else "0")
        args.alone_num_layers = getattr(args, "alone_num_layers", 2)
        for name, default in _FILTER_DEFAULTS.items():
            setattr(args, f"alone_{name}", getattr(args, f"alone_{name}", default))
        args.alone_seed = getattr(args, "alone_seed", 1)
        args.alone_dropout = getattr(args, "alone_dropout", 0.0)
        args.alone_dropout_until = getattr(args, "alone_dropout_until", 0)
        args.alone_fix_base = getattr(args, "alone_fix_base", False)
        args.alone_init = getattr(args, "alone_init", "balanced")
        args.alone_rebuild = getattr(args, "alone_rebuild", "update")

    @classmethod
    def build_from_flags(cls, args, num_embeddings, embed_dim, padding_idx, stream) -> AloneEmbedding:
        """Build an ALONE embedding from the ``--alone-`` flags."""
        sizes = _sizes(args, num_embeddings, embed_dim)
        for name in UNUSED_SETTINGS.get(args.alone_filter, ()):
            if getattr(args, f"alone_{name}") != _FILTER_DEFAULTS[name]:
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
            # Checkpoints of version 0.1.0 know neither this flag nor the next.
            init=getattr(args, "alone_init", "balanced"),
        )
        embedding.rebuild = getattr(args, "alone_rebuild", "update")
        for layer in embedding.layers:
            layer.param_group = EMBEDDING_NETWORK
        return embedding

    @classmethod
    def check_dictionary(cls, embedding, dictionary) -> None:
        """Warn when free rows would go to rare words."""
        warn_unless_sorted(dictionary, embedding.free.band_ends)


@functools.cache
def _warn_once(message: str) -> None:
    # An untied model builds several embeddings from the same flags.
    logger.warning(message)


def _sizes(args, num_embeddings: int, embed_dim: int) -> AloneBudget:
    # Checkpoints of version 0.1.0 know none of these three flags.
    share, rows = getattr(args, "alone_share", None), getattr(args, "alone_free_rows", "0")
    if share is None:
        base_dim = embed_dim if args.alone_base_dim is None else args.alone_base_dim
        return AloneBudget(base_dim, args.alone_inter_dim, free_rows(rows, embed_dim))
    for name, value in (("base_dim", args.alone_base_dim), ("inter_dim", args.alone_inter_dim), ("free_rows", rows)):
        if value is not None:
            raise SettingError(name, "follows from --alone-share; give one of the two")
    if args.alone_num_layers != 2:
        raise SettingError("num_layers", f"must be 2 with --alone-share, got {args.alone_num_layers}")
    # The sizes were chosen for computed vectors as long as the rows are.
    init = getattr(args, "alone_init", "balanced")
    if init != "balanced":
        raise SettingError("init", f"must be balanced with --alone-share, got {init}")
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
    bands = [re.fullmatch(r"([0-9]+)(?:x([0-9]+))?", band) for band in text.split(",")]
    if not all(bands):
        raise SettingError("free_rows", f"must be like 2000 or 2000,4500x64, got '{text}'")
    return [(int(band[1]), int(band[2] or embed_dim)) for band in bands]
