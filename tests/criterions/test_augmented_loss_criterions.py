"""The criterions with the augmented loss beside those they extend, on small models in this process."""

import argparse
import math

import pytest
import torch
from fairseq.criterions.cross_entropy import CrossEntropyCriterion
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.data import Dictionary
from fairseq.logging import metrics
from fairseq.models import ARCH_MODEL_REGISTRY
from fairseq.models.transformer import base_architecture

from fairseq_alone.criterions.cross_entropy_with_augmented_loss import CrossEntropyWithAugmentedLoss
from fairseq_alone.criterions.label_smoothed_cross_entropy_with_augmented_loss import (
    LabelSmoothedCrossEntropyWithAugmentedLoss,
)
from fairseq_alone.errors import UserError
from fairseq_alone.models.alone_family import AloneFamily
from fairseq_alone.modules.augmented_loss import augmented_loss

PAD = 1


@pytest.fixture
def task():
    words = Dictionary()
    for number in range(16):
        words.add_symbol(f"w{number}")
    return argparse.Namespace(source_dictionary=words, target_dictionary=words)


@pytest.fixture(params=["transformer", "transformer_alone"])
def model(request, task):
    args = argparse.Namespace(share_all_embeddings=True, dropout=0.0)
    for side in ("encoder", "decoder"):
        for setting, value in (("embed_dim", 8), ("ffn_embed_dim", 8), ("layers", 1), ("attention_heads", 2)):
            setattr(args, f"{side}_{setting}", value)
    base_architecture(args)
    AloneFamily.fill_defaults(args, inter_dim=12)
    torch.manual_seed(1)
    return ARCH_MODEL_REGISTRY[request.param].build_model(args, task)


@pytest.fixture
def sample():
    target = torch.tensor([[10, 11, 2], [12, 2, PAD]])
    net_input = {
        "src_tokens": torch.tensor([[5, 6, 7, 2], [PAD, 8, 9, 2]]),
        "src_lengths": torch.tensor([4, 3]),
        "prev_output_tokens": torch.tensor([[2, 10, 11], [2, 12, PAD]]),
    }
    return {"net_input": net_input, "target": target, "ntokens": 5}


def label_smoothed(task, weight, temperature=2.0, target_gradient=False, **settings):
    return LabelSmoothedCrossEntropyWithAugmentedLoss(
        task, False, 0.1, weight, temperature, target_gradient, **settings
    )


def plain(task, weight, temperature=2.0, target_gradient=False):
    return CrossEntropyWithAugmentedLoss(task, False, weight, temperature, target_gradient)


PAIRS = {
    "label smoothed": (label_smoothed, lambda task: LabelSmoothedCrossEntropyCriterion(task, False, 0.1)),
    "plain": (plain, lambda task: CrossEntropyCriterion(task, False)),
}


@pytest.fixture(params=PAIRS)
def criterions(request, task):
    """A function from weight and settings to our criterion, and fairseq's own."""
    ours, theirs = PAIRS[request.param]
    return (lambda weight, **settings: ours(task, weight, **settings)), theirs(task)


@pytest.mark.parametrize("reduce", [True, False])
def test_weight_zero_is_fairseqs_loss_bit_for_bit(criterions, model, sample, reduce):
    ours, theirs = criterions
    loss, size, log = ours(0.0)(model, sample, reduce)
    expected, expected_size, expected_log = theirs(model, sample, reduce)
    assert torch.equal(loss, expected)
    assert size == expected_size
    assert all(torch.equal(torch.as_tensor(log[key]), torch.as_tensor(value)) for key, value in expected_log.items())
    if reduce:
        parameters = [p for p in model.parameters() if p.requires_grad]
        gradients = [torch.autograd.grad(value, parameters, retain_graph=True) for value in (loss, expected)]
        assert all(torch.equal(first, second) for first, second in zip(*gradients, strict=True))


def test_the_weighted_divergence_is_added(criterions, model, sample):
    ours, theirs = criterions
    loss, _, log = ours(0.5)(model, sample)
    embedding = model.decoder.embed_tokens
    matrix = embedding.matrix() if hasattr(embedding, "matrix") else embedding.weight
    logits = model(**sample["net_input"])[0].reshape(-1, matrix.size(0))
    divergence = augmented_loss(logits, sample["target"].reshape(-1), matrix, 2.0, PAD).sum()
    torch.testing.assert_close(loss, theirs(model, sample)[0] + 0.5 * 2.0 * divergence)
    torch.testing.assert_close(log["augmented_loss"], divergence.detach())
    torch.testing.assert_close(
        log["nll_loss"],
        CrossEntropyCriterion.compute_loss(ours(0.0), model, model(**sample["net_input"]), sample)[0].detach(),
    )


def test_target_gradient_changes_the_gradient_only(criterions, model, sample):
    ours, _ = criterions
    parameters = [p for p in model.parameters() if p.requires_grad]
    results = []
    for target_gradient in (False, True):
        loss, _, _ = ours(0.5, target_gradient=target_gradient)(model, sample)
        results.append((loss.detach(), torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)])))
    torch.testing.assert_close(results[0][0], results[1][0])
    assert not torch.allclose(results[0][1], results[1][1])


def test_the_ignored_prefix_is_ignored_in_both_parts(task, model, sample):
    whole = label_smoothed(task, 0.5)(model, sample, reduce=False)[0].view(2, 3)
    rest = label_smoothed(task, 0.5, ignore_prefix_size=1)(model, sample, reduce=False)[0].view(2, 2)
    torch.testing.assert_close(rest, whole[:, 1:])


def test_logged_apart_and_in_base_2(criterions, model, sample):
    ours, _ = criterions
    criterion = ours(0.5)
    _, _, log = criterion(model, sample)
    with metrics.aggregate() as numbers:
        type(criterion).reduce_metrics([log, log])
    values = numbers.get_smoothed_values()
    cross_entropy = log["nll_loss"].item() / 5 / math.log(2)
    assert values["nll_loss"] == pytest.approx(cross_entropy, abs=1e-3)
    assert values["augmented_loss"] == pytest.approx(log["augmented_loss"].item() / 5 / math.log(2), abs=1e-3)
    assert values["ppl"] == pytest.approx(2**cross_entropy, rel=1e-2)
    assert values["loss"] == pytest.approx(log["loss"].item() / 5 / math.log(2), abs=1e-3)


def test_accuracy_is_still_reported(task, model, sample):
    log = label_smoothed(task, 0.5, report_accuracy=True)(model, sample)[2]
    assert log["total"] == 5
    assert 0 <= log["n_correct"] <= 5


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"weight": -0.1}, "--augmented-loss-weight"),
        ({"weight": float("nan")}, "--augmented-loss-weight"),
        ({"weight": 0.5, "temperature": 0.0}, "--augmented-loss-temperature"),
        ({"weight": 0.5, "temperature": -1.0}, "--augmented-loss-temperature"),
    ],
)
def test_bad_values_name_their_flag(criterions, settings, flag):
    with pytest.raises(UserError, match=flag):
        criterions[0](**settings)
