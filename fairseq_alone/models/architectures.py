"""Shapes of Transformers: fairseq's own, and one smaller. An architecture fills in the flags that were not given."""

from fairseq.models.transformer import base_architecture as base
from fairseq.models.transformer import transformer_iwslt_de_en as iwslt_de_en
from fairseq.models.transformer import transformer_wmt_en_de as wmt_en_de
from fairseq.models.transformer import transformer_wmt_en_de_big as wmt_en_de_big

__all__ = ["base", "iwslt_de_en", "tiny", "with_embedding_defaults", "wmt_en_de", "wmt_en_de_big"]


def tiny(args) -> None:
    """128-dimensional, 4 + 4 layers, FFN 256, 4 heads: trains on a CPU."""
    for side in ("encoder", "decoder"):
        for setting, value in (("embed_dim", 128), ("ffn_embed_dim", 256), ("layers", 4), ("attention_heads", 4)):
            name = f"{side}_{setting}"
            setattr(args, name, getattr(args, name, value))
    base(args)


def with_embedding_defaults(shape, embedding_defaults, **settings):
    """An architecture function: the shape's defaults, then those of the embedding."""

    def architecture(args) -> None:
        shape(args)
        embedding_defaults(args, **settings)

    return architecture
