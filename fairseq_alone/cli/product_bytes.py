"""What a model needs as a product: as it was trained, with its table stored, and as a compact file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fairseq_alone.model_settings import tying

if TYPE_CHECKING:
    from torch import Tensor

#: The compact files that are told of.
COMPACT = ("fp16", "int8", "int4")

#: The types of the numbers, as :func:`megabytes` lists them, by what :func:`product_bytes` calls them.
TYPES = {"trained": "fp32", **{kind: kind for kind in COMPACT}}

#: How a column of :func:`megabytes` is called, behind the name of the part.
MEGABYTES = f"MB {' / '.join(TYPES.values())}"


def product_bytes(
    state_dict: Mapping[str, Tensor], settings: dict, table_values: int, words: int
) -> dict[str, dict[str, int] | None]:
    """Bytes of the embedding (with the output layer) and of the whole model, in each form.

    Args:
        state_dict: each tensor once.
        settings: those of the model, as :func:`~fairseq_alone.model_settings.model_settings` gives them.
        table_values: what tables for the same vocabularies, size and tying hold.
        words: V of the target.

    Returns:
        ``{"trained": {"embedding": ..., "model": ...}, "stock": ..., "fp16": ..., "int8": ..., "int4": ...}``. The
        first two are in fp32; ``stock`` is what other tools load, with a table, and None for a model with a length
        encoding or a hierarchical softmax, which none of them has. The last three are compact files without
        their dictionary and settings.
    """
    from fairseq_alone.modules.compact_file import bytes_under

    trained = bytes_under(state_dict, "fp32")
    rest = sum(trained.values()) - trained["embedding"]
    table = 4 * _stock_values(settings, table_values, words)
    if settings.get("arch") == "lstm_lm":
        table = trained["embedding"]
    has_stock = settings.get("length_encoding") in (None, "none") and settings.get("output_layer") != "hierarchical"
    found: dict[str, dict[str, int] | None] = {
        "trained": _sizes(trained),
        "stock": {"embedding": table, "model": table + rest} if has_stock else None,
    }
    return found | {kind: _sizes(bytes_under(state_dict, kind)) for kind in COMPACT}


def megabytes(products: Mapping[str, dict[str, int] | None], part: str) -> str:
    """What :func:`product_bytes` found in one cell of a table, see :data:`MEGABYTES`: ``4.07 / 2.03 / 1.03 / 0.57``.

    Args:
        products: see there.
        part: ``embedding`` (with the output layer) or ``model``, the whole.
    """
    sizes = (products[form] for form in TYPES)
    return " / ".join("-" if size is None else f"{size[part] / 1e6:.2f}" for size in sizes)


def _sizes(groups: dict[str, int]) -> dict[str, int]:
    return {"embedding": groups["embedding"], "model": sum(groups.values())}


def _stock_values(settings: dict, table_values: int, words: int) -> int:
    """Values of the tables of the exported model."""
    if not str(settings.get("arch")).startswith("lstm_lm"):
        return table_values
    # fairseq's LSTM scales no word vectors, so a scaled table is another than that of the output, which has a bias.
    if tying(settings) == "two-way":
        return table_values if settings.get("no_scale_embedding") else 2 * table_values + words
    return table_values + words
