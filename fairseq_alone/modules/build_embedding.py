"""Embeddings from plain settings, as a compact file has them: no fairseq is needed to use a trained embedding."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from fairseq_alone.errors import UserError
from fairseq_alone.modules.alone_embedding import AloneEmbedding
from fairseq_alone.modules.code_embedding import CodeEmbedding
from fairseq_alone.modules.computed_embedding import ComputedEmbedding
from fairseq_alone.modules.differentiated_embedding import DifferentiatedEmbedding
from fairseq_alone.modules.factorized_embedding import FactorizedEmbedding
from fairseq_alone.modules.filters import FilterSettings
from fairseq_alone.modules.table_embedding import TableEmbedding
from fairseq_alone.modules.tensor_product_embedding import TensorProductEmbedding


def build_embedding(family: str, settings: Mapping[str, Any]) -> ComputedEmbedding | TableEmbedding:
    """An embedding of given settings in evaluation mode. Its trained values are for ``load_state_dict`` to fill in.

    Args:
        family: ``alone``, ``codes``, ``conventional``, ``differentiated``, ``factorized`` or ``tensor_product``.
        settings: the module's arguments by name, as JSON values; the filters' are an object ``settings``.

    Raises:
        UserError: the family is of another package's plugin.
    """
    if family not in _BUILDERS:
        raise UserError(f"the embedding is of the family {family}, which {', '.join(_BUILDERS)} does not include")
    # What is drawn here is replaced; the caller's random numbers go on as if nothing had happened.
    with torch.random.fork_rng(devices=[]):
        return _BUILDERS[family](**settings).eval()


def _alone(settings: Mapping[str, Any], **others: Any) -> AloneEmbedding:
    return AloneEmbedding(FilterSettings(**settings), **others)


_BUILDERS: dict[str, Callable[..., ComputedEmbedding | TableEmbedding]] = {
    "alone": _alone,
    "codes": CodeEmbedding,
    "conventional": TableEmbedding,
    "differentiated": DifferentiatedEmbedding,
    "factorized": FactorizedEmbedding,
    "tensor_product": TensorProductEmbedding,
}
