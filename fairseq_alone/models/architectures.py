"""Shapes of Transformers: fairseq's own, and one smaller. An architecture fills in the flags that were not given."""

from fairseq.models import register_model_architecture
from fairseq.models.transformer import (
    base_architecture,
    transformer_iwslt_de_en,
    transformer_wmt_en_de,
    transformer_wmt_en_de_big,
)


def tiny(args) -> None:
    """128-dimensional, 4 + 4 layers, FFN 256, 4 heads: trains on a CPU."""
    for side in ("encoder", "decoder"):
        for setting, value in (("embed_dim", 128), ("ffn_embed_dim", 256), ("layers", 4), ("attention_heads", 4)):
            name = f"{side}_{setting}"
            setattr(args, name, getattr(args, name, value))
    base_architecture(args)


#: Functions that fill in the shape, by the suffix of the architecture's name.
SHAPES = {
    "": base_architecture,
    "_tiny": tiny,
    "_iwslt_de_en": transformer_iwslt_de_en,
    "_wmt_en_de": transformer_wmt_en_de,
    "_wmt_en_de_big": transformer_wmt_en_de_big,
}


def register(model_name: str, family, sizes: dict[str, dict], shapes=SHAPES) -> None:
    """Register the architectures of a model: one for each suffix in ``sizes``.

    Args:
        model_name: the name the model is registered under; also that of its architecture without a suffix.
        family: the :class:`~fairseq_alone.models.embedding_family.EmbeddingFamily`.
        sizes: for each suffix, the sizes of the embedding that the family asks for.
        shapes: for each suffix, the function that fills in all other flags.
    """
    for suffix, family_sizes in sizes.items():
        register_model_architecture(model_name, model_name + suffix)(
            _architecture(shapes[suffix], family, family_sizes)
        )


def _architecture(shape, family, sizes: dict):
    def architecture(args) -> None:
        shape(args)
        family.fill_defaults(args, **sizes)

    return architecture
