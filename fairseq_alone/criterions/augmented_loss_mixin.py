"""What the criterions with the augmented loss share: flags, checks, forward pass and logging."""

import math
from dataclasses import dataclass, field

import torch
from fairseq import utils
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.logging import metrics

from fairseq_alone.errors import UserError
from fairseq_alone.modules.augmented_loss import augmented_loss


@dataclass
class AugmentedLossFlags:
    """Flags of the augmented loss (Inan et al., ICLR 2017)."""

    augmented_loss_weight: float = field(
        default=0.5,
        metadata={"help": "gamma: the loss is cross-entropy + gamma * tau * augmented loss; 0.5 to 0.8 in the paper"},
    )
    augmented_loss_temperature: float = field(
        default=1.0, metadata={"help": "tau of both distributions, positive; the higher, the smoother"}
    )
    augmented_loss_target_gradient: bool = field(
        default=False, metadata={"help": "let the gradient flow into the target distribution, too"}
    )


class AugmentedLossMixin:
    """Adds ``gamma * tau * KL(softmax(L l_target / tau) || softmax(logits / tau))`` to a cross-entropy criterion.

    ``L`` is the matrix that embeds the decoder's input words. With weight zero the criterion is the one it extends.
    """

    def set_up_augmented_loss(self, weight: float, temperature: float, target_gradient: bool) -> None:
        """Check and keep the flags. Raises UserError, which names the flag."""
        if not 0.0 <= weight < float("inf"):
            raise UserError(f"--augmented-loss-weight must be at least 0, got {weight}")
        if not 0.0 < temperature < float("inf"):
            raise UserError(f"--augmented-loss-temperature must be a positive number, got {temperature}")
        self.augmented_loss_weight = weight
        self.augmented_loss_temperature = temperature
        self.augmented_loss_target_gradient = target_gradient

    def forward(self, model, sample, reduce=True):
        """Return the loss, the sample size and the numbers to log; see fairseq's criterions."""
        net_output = model(**sample["net_input"])
        loss, nll_loss = self.compute_loss(model, net_output, sample, reduce=reduce)
        logging_output = {
            "nll_loss": nll_loss.data,
            "ntokens": sample["ntokens"],
            "nsentences": sample["target"].size(0),
            "sample_size": sample["target"].size(0) if self.sentence_avg else sample["ntokens"],
        }
        if self.augmented_loss_weight > 0:
            augmented = self.compute_augmented_loss(model, net_output, sample, reduce=reduce)
            loss = loss + self.augmented_loss_weight * self.augmented_loss_temperature * augmented.view_as(loss)
            logging_output["augmented_loss"] = augmented.data
        logging_output["loss"] = loss.data
        if getattr(self, "report_accuracy", False):
            correct, total = self.compute_accuracy(model, net_output, sample)
            logging_output.update(n_correct=utils.item(correct.data), total=utils.item(total.data))
        return loss, logging_output["sample_size"], logging_output

    def compute_augmented_loss(self, model, net_output, sample, reduce=True):
        """The divergence from the target distributions, not yet weighted: a sum, or one value for each token."""
        logits, targets = net_output[0], model.get_targets(sample, net_output)
        prefix = getattr(self, "ignore_prefix_size", 0)
        logits, targets = logits[:, prefix:], targets[:, prefix:]
        with torch.set_grad_enabled(self.augmented_loss_target_gradient and torch.is_grad_enabled()):
            matrix = input_matrix(model)
        values = augmented_loss(
            logits.reshape(-1, logits.size(-1)),
            targets.reshape(-1),
            matrix,
            self.augmented_loss_temperature,
            self.padding_idx,
        )
        return values.sum() if reduce else values

    @classmethod
    def reduce_metrics(cls, logging_outputs) -> None:
        """Log the loss, its cross-entropy with perplexity, and the augmented part, all in base 2."""
        LabelSmoothedCrossEntropyCriterion.reduce_metrics(logging_outputs)
        tokens = sum(log.get("ntokens", 0) for log in logging_outputs)
        if any("augmented_loss" in log for log in logging_outputs):
            total = sum(log.get("augmented_loss", 0) for log in logging_outputs)
            metrics.log_scalar("augmented_loss", total / tokens / math.log(2), tokens, round=3)


def input_matrix(model):
    """The matrix (V, D) that embeds the decoder's input words, stored or computed.

    It carries a gradient when gradients are enabled. Raises UserError for an adaptive input, which has no such matrix.
    """
    embedding = getattr(model.decoder, "embed_tokens", None)
    matrix = embedding.matrix() if hasattr(embedding, "matrix") else getattr(embedding, "weight", None)
    if matrix is None:
        raise UserError("--augmented-loss-weight needs one embedding matrix, but this decoder has none")
    return matrix if torch.is_grad_enabled() else matrix.detach()
