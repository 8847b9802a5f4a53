"""Networks and their shapes; every family of embeddings exists in every network.

A shape fills in the flags that were not given. Its name is what a family's ``shape_defaults`` goes by.
"""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field

from fairseq.models import register_model, register_model_architecture
from fairseq.models.transformer import (
    TransformerModel,
    base_architecture,
    transformer_iwslt_de_en,
    transformer_wmt_en_de,
    transformer_wmt_en_de_big,
)
from fairseq.models.transformer_lm import (
    TransformerLanguageModel,
    base_lm_architecture,
    transformer_lm_big,
    transformer_lm_gpt,
)

from fairseq_alone.models.cbow import CBOW
from fairseq_alone.models.collobert_weston import CollobertWeston
from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.models.embedding_family_transformer import EmbeddingFamilyTransformer
from fairseq_alone.models.length_control import LengthControlledTransformer, length_defaults
from fairseq_alone.models.lstm_lm import EmbeddingFamilyLSTMLM, lstm_architecture
from fairseq_alone.models.nnlm import NNLM
from fairseq_alone.models.skip_gram import SkipGram
from fairseq_alone.models.transformer_lm import EmbeddingFamilyTransformerLM, post_norm
from fairseq_alone.models.word_vector_model import WordVectorModel


def tiny(args: Namespace) -> None:
    """128-dimensional, 4 + 4 layers, FFN 256, 4 heads: trains on a CPU."""
    for side in ("encoder", "decoder"):
        for setting, value in (("embed_dim", 128), ("ffn_embed_dim", 256), ("layers", 4), ("attention_heads", 4)):
            name = f"{side}_{setting}"
            setattr(args, name, getattr(args, name, value))
    base_architecture(args)


def duc(args: Namespace) -> None:
    """The base Transformer with a length encoding: 512 dimensions, 6 + 6 layers, FFN 2048, 8 heads."""
    base_architecture(args)
    length_defaults(args)


#: Every registered model by the name of its class.
MODELS: dict[str, type] = {}


@dataclass(frozen=True)
class Network:
    """A kind of model.

    Args:
        base: the class that all its families share.
        model_name: fairseq's name of the model of a family, with ``{}`` for that of the family.
        class_name: the name of its class, with ``{}`` as well.
        shapes: for each architecture its name, again with ``{}``, the name of its shape and the function that fills
            it in.
        stock_names: names that differ for the conventional family, by what they would be.
        stock: fairseq's own model of the same network, if a trained one can become one of ours.
        plain_shape: which of the shapes leaves every flag that is given as it is.
    """

    base: type
    model_name: str
    class_name: str
    shapes: tuple[tuple[str, str, Callable], ...]
    stock_names: dict[str, str] = field(default_factory=dict)
    stock: type | None = None
    plain_shape: int = 0

    def register(self, family: type[EmbeddingFamily]) -> None:
        """Register the model of a family and its architectures with fairseq."""
        model_name = self._name(self.model_name, family.name)
        class_name = self._name(self.class_name, family.class_name)
        members = {"family": family, "__doc__": self.base.__doc__, "__module__": __name__}
        MODELS[class_name] = register_model(model_name)(type(class_name, (self.base,), members))
        for arch, shape, fill_in_shape in self.shapes:
            architecture = _architecture(family, shape, fill_in_shape)
            register_model_architecture(model_name, self._name(arch, family.name))(architecture)

    def plain_architecture(self, family: type[EmbeddingFamily]) -> str:
        """The architecture of a family that changes no flag that is given, for models whose flags are all known."""
        return self._name(self.shapes[self.plain_shape][0], family.name)

    def _name(self, pattern: str, family: str) -> str:
        name = pattern.format(family)
        return self.stock_names.get(name, name)


def _architecture(family: type[EmbeddingFamily], shape: str, fill_in_shape: Callable) -> Callable:
    def architecture(args: Namespace) -> None:
        fill_in_shape(args)
        family.fill_defaults(args, shape)

    return architecture


def __getattr__(name: str) -> type:
    # A class is pickled as the name of its module and its own.
    if name in MODELS:
        return MODELS[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _word_vectors(base: type[WordVectorModel], name: str, class_name: str) -> Network:
    """A network for word vectors; with a table it has the plain name."""
    return Network(
        base,
        f"{name}_{{}}",
        f"{class_name}{{}}Model",
        ((f"{name}_{{}}", name, base.architecture),),
        {f"{name}_conventional": name, f"{class_name}ConventionalModel": f"{class_name}Model"},
    )


NETWORKS = (
    Network(
        EmbeddingFamilyTransformer,
        "transformer_{}",
        "Transformer{}Model",
        (
            ("transformer_{}", "base", base_architecture),
            ("transformer_{}_tiny", "tiny", tiny),
            ("transformer_{}_iwslt_de_en", "iwslt_de_en", transformer_iwslt_de_en),
            ("transformer_{}_wmt_en_de", "wmt_en_de", transformer_wmt_en_de),
            ("transformer_{}_wmt_en_de_big", "wmt_en_de_big", transformer_wmt_en_de_big),
        ),
        stock=TransformerModel,
    ),
    Network(
        LengthControlledTransformer,
        "transformer_{}_length",
        "Transformer{}LengthModel",
        (("transformer_{}_duc", "duc", duc),),
        {
            "transformer_conventional_length": "transformer_length",
            "transformer_conventional_duc": "transformer_length_duc",
            "TransformerConventionalLengthModel": "TransformerLengthModel",
        },
    ),
    Network(
        EmbeddingFamilyTransformerLM,
        "transformer_lm_{}",
        "TransformerLM{}Model",
        (
            ("transformer_lm_{}", "lm", base_lm_architecture),
            ("transformer_lm_{}_big", "lm_big", transformer_lm_big),
            ("transformer_lm_{}_gpt", "lm_gpt", transformer_lm_gpt),
            ("transformer_lm_{}_post_norm", "lm_post_norm", post_norm),
        ),
        stock=TransformerLanguageModel,
        plain_shape=3,
    ),
    Network(
        EmbeddingFamilyLSTMLM,
        "lstm_lm_{}",
        "LSTMLM{}Model",
        (("lstm_lm_{}", "lstm", lstm_architecture),),
    ),
    _word_vectors(NNLM, "nnlm", "NNLM"),
    _word_vectors(CollobertWeston, "cw", "CollobertWeston"),
    _word_vectors(CBOW, "cbow", "CBOW"),
    _word_vectors(SkipGram, "skip_gram", "SkipGram"),
)


def network_of(model: object) -> Network | None:
    """The network of a model of this package, or of the stock model that has the same; None for any other."""
    for network in NETWORKS:
        # Not isinstance: one network extends another.
        if type(model).__bases__[0] is network.base:
            return network
    return next((network for network in NETWORKS if type(model) is network.stock), None)
