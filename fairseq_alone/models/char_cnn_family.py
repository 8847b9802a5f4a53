"""Character CNNs as a family of embeddings (Kim et al., AAAI 2016; Jozefowicz et al., 2016)."""
# ruff: noqa: UP045

import functools
import itertools
import logging
import re
from argparse import Namespace
from dataclasses import dataclass
from typing import Any, Optional  # fairseq makes a flag of Optional[float], not of float | None

from fairseq.data import Dictionary
from fairseq.dataclass import FairseqDataclass
from torch import Tensor

from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.models.family_flags import fill_in, flag
from fairseq_alone.modules import CharCnnEmbedding
from fairseq_alone.modules.char_cnn_budget import CharCnnBudget
from fairseq_alone.modules.spelling import Spelling, places_of, spelling_of

logger = logging.getLogger(__name__)

# For vectors of 128 to 256 values; for 512; for more.
_FILTERS, _WIDER_FILTERS, _WIDEST_FILTERS = (
    "1x32,2x64,3x128,4x128",
    "1x64,2x128,3x192,4x256",
    "1x64,2x128,3x256,4x256,5x256",
)
# fairseq fills a dictionary up to a multiple of 8 with these.
_MADE_UP = re.compile(r"madeupword\d+")
# What C is taken for where the words are not known: letters of both cases, digits and some more.
_USUAL_CHARACTERS = 100


@dataclass
class CharCnnFlags(FairseqDataclass):
    """The ``--char-cnn-`` flags."""

    char_cnn_dim: int = flag(16, "values of a character's vector", "D")
    char_cnn_filters: Optional[str] = flag(
        _FILTERS,
        "filters of the character CNN: 1x32,3x64 is 32 filters that see one character and 64 that see three",
        "WxN,...",
    )
    char_cnn_highway_layers: int = flag(1, "highway layers behind the filters", "N")
    char_cnn_correction_dim: int = flag(
        0,
        "trained values of each word's own, added through a projection, which tell apart words that are spelled alike; "
        "0 is none",
        "N",
    )
    char_cnn_max_length: int = flag(
        32, "of a word with more characters, only the first and the last are taken, half of this number each", "L"
    )
    char_cnn_min_entries: int = flag(
        1, "a character that fewer entries of the dictionary have shares one vector with all others like it", "N"
    )
    char_cnn_share: Optional[float] = flag(
        None,
        "size of the embedding, that of a table V x D_e = 1, at most 0.75: chooses the filters and corrections",
        "SHARE",
    )


class CharCnnFamily(EmbeddingFamily):
    """:class:`~fairseq_alone.modules.CharCnnEmbedding` and the ``--char-cnn-`` flags."""

    name, class_name = "char_cnn", "CharCnn"
    flags = CharCnnFlags
    flag_prefix = "--char-cnn-"
    shape_defaults = {
        **{
            shape: {"char_cnn_filters": _WIDER_FILTERS}
            for shape in ("base", "iwslt_de_en", "wmt_en_de", "duc", "lm", "lm_post_norm")
        },
        **{shape: {"char_cnn_filters": _WIDEST_FILTERS} for shape in ("wmt_en_de_big", "lm_big", "lm_gpt")},
    }
    report_rows = {
        "characters": "C characters",
        "character_dim": "d of a character",
        "character_filters": "filters, width x number",
        "highway_layers": "highway layers",
        "correction_dim": "values of a word's correction",
        "spelling_bytes": "bytes of the spelling",
    }

    @classmethod
    def fill_defaults(cls, args: Namespace, shape: str) -> None:
        """Fill in the flags that were not given. With ``--char-cnn-share`` the filters, which follow, stay None."""
        if getattr(args, "char_cnn_share", None) is None:
            super().fill_defaults(args, shape)
        else:
            fill_in(args, cls.flags, char_cnn_filters=None)

    @classmethod
    def build_from_dictionary(
        cls, args: Namespace, dictionary: Dictionary, embed_dim: int, stream: int
    ) -> CharCnnEmbedding:
        """Build an embedding of the dictionary's spelling; nothing in it is random and not trained.

        Raises:
            UserError: the entries of the dictionary have no spelling.
        """
        spelling = spelling_of_dictionary(dictionary, args.char_cnn_max_length, args.char_cnn_min_entries)
        if args.char_cnn_share is None:
            sizes = filters_of(args.char_cnn_filters), args.char_cnn_correction_dim
        else:
            sizes = _sizes_of_share(args, spelling, embed_dim)
        _warn_of(spelling, args.char_cnn_max_length, sizes[1])
        return CharCnnEmbedding(
            spelling,
            embed_dim,
            dictionary.pad(),
            character_dim=args.char_cnn_dim,
            filters=sizes[0],
            num_highway=args.char_cnn_highway_layers,
            correction_dim=sizes[1],
            max_length=args.char_cnn_max_length,
        )

    @classmethod
    def flags_of_share(cls, share: float, num_embeddings: int, embed_dim: int) -> dict[str, object]:
        """``--char-cnn-share``, once it is known to be possible with a usual number of characters."""
        CharCnnBudget.of_share(share, num_embeddings, embed_dim, _USUAL_CHARACTERS, CharCnnFlags.char_cnn_dim)
        return {"char_cnn_share": share}

    @classmethod
    def module_settings(cls, embedding: CharCnnEmbedding) -> dict[str, Any]:
        """Sizes. The spelling is among the tensors."""
        names = ("embedding_dim", "padding_idx", "correction_dim", "max_length")
        return {
            **{name: getattr(embedding, name) for name in names},
            "num_embeddings": embedding.num_embeddings,
            "num_characters": embedding.num_characters,
            "num_code_points": len(embedding.code_points),
            "spelled_length": embedding.spelling.size(1),
            "character_dim": embedding.characters.size(1),
            "filters": [[found.size(1), found.size(0)] for found in embedding.filters],
            "num_highway": len(embedding.highway),
        }

    @classmethod
    def describe(cls, tensors: dict[str, Tensor]) -> dict | None:
        """Sizes from the tensors."""
        if not {"spelling", "code_points", "characters", "filters.0"} <= tensors.keys():
            return None
        code_points = tensors["code_points"]
        characters, dim = tensors["characters"].shape
        names = (f"filters.{number}" for number in itertools.count())
        filters = [tensors[name].shape for name in itertools.takewhile(tensors.__contains__, names)]
        return {
            # The characters are numbered from 1.
            "vocabulary": len(places_of(tensors["spelling"][0], characters + 1 - len(code_points))[0]),
            "embed_dim": tensors["projection"].size(0),
            "characters": characters,
            "character_dim": dim,
            "character_filters": ",".join(f"{width}x{count}" for count, width, _ in filters),
            "highway_layers": sum(name.startswith("highway.") for name in tensors),
            "correction_dim": tensors["corrections"].size(1) if "corrections" in tensors else None,
            "spelling_bytes": tensors["spelling"].nbytes + code_points.nbytes,
        }

    @classmethod
    def variant(cls, settings: dict) -> str:
        """Whether words have corrections."""
        return "corrections" if settings["correction_dim"] else ""


def spelling_of_dictionary(dictionary: Dictionary, max_length: int, min_entries: int = 1) -> Spelling:
    """The spelling of a dictionary's entries; fairseq's own symbols are special.

    Raises:
        SettingError: a setting is outside its range.
        UserError: all of them are numbers, as those of GPT-2's subwords or of units of speech.
    """
    entries = [dictionary[number] for number in range(len(dictionary))]
    words = [None if _MADE_UP.fullmatch(entry) else entry for entry in entries[dictionary.nspecial :]]
    spelled = [word for word in words if word is not None]
    if spelled and all(word.isdecimal() for word in spelled):
        raise UserError(
            "the embedding char_cnn needs words with a spelling, but every entry of the dictionary is a number"
        )
    return spelling_of([*[None] * min(dictionary.nspecial, len(entries)), *words], max_length, min_entries)


def filters_of(text: str) -> list[tuple[int, int]]:
    """Read ``--char-cnn-filters``, ``WxN`` with commas between, as (W, N). SettingError: it is of another form."""
    found = [re.fullmatch(r"([0-9]+)x([0-9]+)", part) for part in text.split(",")]
    filters = [(int(part[1]), int(part[2])) for part in found if part is not None]
    if len(filters) < len(found) or not all(width and count for width, count in filters):
        raise SettingError("filters", f"must be widths and numbers of at least 1, like 1x32,3x64, got '{text}'")
    return filters


def _sizes_of_share(args: Namespace, spelling: Spelling, embed_dim: int) -> tuple[list[tuple[int, int]], int]:
    for name in ("correction_dim", "filters"):
        if getattr(args, f"char_cnn_{name}"):
            raise SettingError(name, "follows from --char-cnn-share; give one of the two")
    if args.char_cnn_highway_layers != 1:
        raise SettingError("highway_layers", f"must be 1 with --char-cnn-share, got {args.char_cnn_highway_layers}")
    budget = CharCnnBudget.of_share(
        args.char_cnn_share, spelling.num_entries, embed_dim, spelling.num_characters, args.char_cnn_dim
    )
    return budget.filters, budget.correction_dim


def _warn_of(spelling: Spelling, max_length: int, correction_dim: int) -> None:
    if spelling.num_cut:
        _warn_once(
            f"{spelling.num_cut:,} entries of the dictionary have more than {max_length} characters; of these the "
            "first and the last count (--char-cnn-max-length)"
        )
    if spelling.num_alike and not correction_dim:
        _warn_once(
            f"{spelling.num_alike:,} entries of the dictionary are spelled like another one, so they have its vector; "
            "--char-cnn-correction-dim tells them apart"
        )


@functools.cache
def _warn_once(message: str) -> None:
    # An untied model builds several embeddings from the same flags.
    logger.warning(message)
