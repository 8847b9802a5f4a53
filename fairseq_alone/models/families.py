"""The registry of families: one line here, and a kind of embedding exists in every network, tool and recipe."""

from fairseq_alone import model_settings
from fairseq_alone.models.alone_family import AloneFamily
from fairseq_alone.models.char_cnn_family import CharCnnFamily
from fairseq_alone.models.code_family import CodeFamily
from fairseq_alone.models.conventional_family import ConventionalFamily
from fairseq_alone.models.differentiated_family import DifferentiatedFamily
from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.models.factorized_family import FactorizedFamily
from fairseq_alone.models.family_flags import tensor_settings
from fairseq_alone.models.family_registry import FAMILIES
from fairseq_alone.models.networks import NETWORKS
from fairseq_alone.models.tensor_product_family import TensorProductFamily


def register_family(family: type[EmbeddingFamily]) -> type[EmbeddingFamily]:
    """Make a family known to fairseq, in every network, and to the tools. Usable as a decorator.

    Raises:
        ValueError: there is a family of this name.
    """
    if family.name in FAMILIES:
        raise ValueError(f"there is a family {family.name!r} already: {FAMILIES[family.name].__name__}")
    FAMILIES[family.name] = family
    model_settings.TENSOR_SETTINGS.update(tensor_settings(family.flags))
    for network in NETWORKS:
        network.register(family)
    return family


for _family in (
    ConventionalFamily,
    FactorizedFamily,
    AloneFamily,
    CodeFamily,
    TensorProductFamily,
    DifferentiatedFamily,
    CharCnnFamily,
):
    register_family(_family)
