"""What losses need that do without the logits of all words: features, and the output layer's vectors of given words."""

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from fairseq_alone.errors import UserError
from fairseq_alone.modules import TiedProjection
from fairseq_alone.modules.computed_embedding import ComputedEmbedding
from fairseq_alone.modules.tied_projection import has_rows, rows_of


def features_of(model: Any, net_input: dict[str, Any]) -> tuple[Tensor, tuple]:
    """A forward pass without the output layer.

    Args:
        model: one of ours or of fairseq's, in whatever it is wrapped for distributed training.
        net_input: of the batch.

    Returns:
        The decoder's features (B, T, D), and all that the model returned, for ``model.get_targets``.
    """
    with _without_output_layer(model.decoder):
        net_output = model(**net_input)
    return net_output[0], net_output


@contextlib.contextmanager
def _without_output_layer(decoder: nn.Module) -> Iterator[None]:
    # The model is called as a whole, since a wrapper for distributed training prepares itself in its forward pass. An
    # attribute of the instance hides the method, whatever network it belongs to.
    decoder.__dict__["output_layer"] = _unchanged
    try:
        yield
    finally:
        del decoder.__dict__["output_layer"]


def _unchanged(features: Tensor, **_: Any) -> Tensor:
    return features


def output_is_split(model: Any) -> bool:
    """Whether the model has fairseq's adaptive softmax, which gives no logits of all words."""
    return getattr(getattr(model, "decoder", None), "adaptive_softmax", None) is not None


class OutputRows:
    """The vectors of an output layer, which multiply the features: ``logits == features @ rows(all ids).T``.

    Args:
        model: as for :func:`features_of`.
        criterion: name of the criterion, for the sentence of an error.

    Raises:
        UserError: the model has no output layer of one vector a word, or a bias besides.
    """

    def __init__(self, model: Any, criterion: str):
        decoder = getattr(model, "decoder", None)
        if output_is_split(model):
            raise UserError(f"--adaptive-softmax-cutoff does not work with --criterion {criterion}")
        layer: Any = getattr(decoder, "output_projection", None)
        if not has_rows(layer) or not hasattr(decoder, "output_layer"):
            raise UserError(
                f"--criterion {criterion} needs an output layer that has one vector for each word and nothing else; "
                "that of this model is another"
            )
        self._layer = layer

    @property
    def num_embeddings(self) -> int:
        """V."""
        if isinstance(self._layer, TiedProjection):
            return self._layer.embedding.num_embeddings
        return self._layer.out_features

    def rows(self, ids: Tensor) -> Tensor:
        """Vectors of words, ``(...) -> (..., D)``, without dropout; of a computed embedding no others are computed."""
        return rows_of(self._layer, ids)


def need_few_rows(model: nn.Module) -> None:
    """Tell computed embeddings that no output layer reads the whole matrix in training, so that look-ups do not."""
    for module in model.modules():
        if isinstance(module, ComputedEmbedding):
            module.serves_output = False
