"""The mathematics: modules for any PyTorch model. Nothing here knows fairseq."""

from fairseq_alone.modules.alone_budget import AloneBudget
from fairseq_alone.modules.alone_embedding import AloneEmbedding
from fairseq_alone.modules.build_embedding import build_embedding
from fairseq_alone.modules.code_embedding import CodeEmbedding
from fairseq_alone.modules.differentiated_embedding import DifferentiatedEmbedding
from fairseq_alone.modules.factorized_embedding import FactorizedEmbedding
from fairseq_alone.modules.filters import FilterBank, FilterSettings
from fairseq_alone.modules.hierarchical_softmax import HierarchicalSoftmax
from fairseq_alone.modules.length_encoding import LengthEncoding
from fairseq_alone.modules.regularized_projection import RegularizedProjection
from fairseq_alone.modules.table_embedding import TableEmbedding
from fairseq_alone.modules.tensor_product_embedding import TensorProductEmbedding
from fairseq_alone.modules.tied_projection import TiedProjection
from fairseq_alone.modules.variational_dropout import VariationalDropout, VariationalLSTMCell

__all__ = [
    "AloneBudget",
    "AloneEmbedding",
    "CodeEmbedding",
    "DifferentiatedEmbedding",
    "FactorizedEmbedding",
    "FilterBank",
    "FilterSettings",
    "HierarchicalSoftmax",
    "LengthEncoding",
    "RegularizedProjection",
    "TableEmbedding",
    "TensorProductEmbedding",
    "TiedProjection",
    "VariationalDropout",
    "VariationalLSTMCell",
    "build_embedding",
]
