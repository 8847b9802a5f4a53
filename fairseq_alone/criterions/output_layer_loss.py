"""Cross-entropy by what the output layer itself says of the targets, without scores of all words."""

from typing import Any

from fairseq.criterions import register_criterion
from fairseq.criterions.cross_entropy import CrossEntropyCriterion, CrossEntropyCriterionConfig
from torch import Tensor, nn

from fairseq_alone.criterions.features import features_of, output_is_split
from fairseq_alone.errors import UserError
from fairseq_alone.modules.chunked_log_prob import chunked_log_prob


@register_criterion("output_layer_loss", dataclass=CrossEntropyCriterionConfig)
class OutputLayerLoss(CrossEntropyCriterion):
    """fairseq's ``cross_entropy``, in training and validation, computed by the ``log_prob`` of the output layer.

    A hierarchical softmax then walks the paths of the targets and nothing else. A softmax needs the logits of all words
    in any case, but they are made some at a time, see
    :func:`~fairseq_alone.modules.chunked_log_prob.chunked_log_prob`.
    """

    def check_model(self, model: nn.Module) -> None:
        """Raise UserError for a model whose output layer does not say it; called before the training."""
        self._layer(model)

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> tuple[Tensor, int, dict[str, Any]]:
        """Return the loss, the sample size and the numbers to log, which are those of ``cross_entropy``."""
        layer = self._layer(model)
        features, net_output = features_of(model, sample["net_input"])
        targets = model.get_targets(sample, net_output).reshape(-1)
        counted = targets != self.padding_idx
        flat = features.reshape(-1, features.size(-1))[counted]
        if isinstance(layer, nn.Linear):
            log_probs = chunked_log_prob([(flat, layer.weight)], targets[counted])
        else:
            log_probs = layer.log_prob(flat, targets[counted])
        loss = -log_probs.sum() if reduce else log_probs.new_zeros(len(targets)).masked_scatter(counted, -log_probs)
        sample_size = sample["target"].size(0) if self.sentence_avg else sample["ntokens"]
        logging_output = {
            "loss": loss.data,
            "ntokens": sample["ntokens"],
            "nsentences": sample["target"].size(0),
            "sample_size": sample_size,
        }
        return loss, sample_size, logging_output

    @staticmethod
    def _layer(model: Any) -> Any:
        decoder = getattr(model, "decoder", None)
        layer = getattr(decoder, "output_projection", None)
        plain = isinstance(layer, nn.Linear) and layer.bias is None
        if output_is_split(model) or not (plain or hasattr(layer, "log_prob")):
            raise UserError(
                "--criterion output_layer_loss needs a softmax without bias, or an --output-layer of this package; "
                "that of this model is another"
            )
        return layer
