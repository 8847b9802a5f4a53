"""The criterions with self-normalisation beside those they extend, on small models in this process."""

import math

import pytest
import torch
from fairseq.criterions.cross_entropy import CrossEntropyCriterion
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.logging import metrics
from toy_checkpoints import toy_model

from fairseq_alone.criterions.label_smoothed_cross_entropy_with_self_normalization import (
    LabelSmoothedCrossEntropyWithSelfNormalization,
    LabelSmoothedCrossEntropyWithSelfNormalizationConfig,
)
from fairseq_alone.criterions.self_normalization import SelfNormalization, SelfNormalizationConfig
from fairseq_alone.errors import UserError

PAD = 1


@pytest.fixture(params=["transformer", "transformer_factorized"])
def built(request):
    model, _, task = toy_model(request.param, dropout=0.0)
    return model.train(), task


@pytest.fixture
def sample():
    net_input = {
        "src_tokens": torch.tensor([[5, 6, 7, 2], [PAD, 8, 9, 2]]),
        "src_lengths": torch.tensor([4, 3]),
        "prev_output_tokens": torch.tensor([[2, 10, 11], [2, 12, PAD]]),
    }
    target = torch.tensor([[10, 11, 2], [12, 2, PAD]])
    return {"id": torch.tensor([4, 7]), "net_input": net_input, "target": target, "ntokens": 5}


def named(settings):
    return {f"self_normalization_{name}": value for name, value in settings.items()}


def label_smoothed(task, ignore_prefix_size=0, **settings):
    config = LabelSmoothedCrossEntropyWithSelfNormalizationConfig(
        sentence_avg=False, label_smoothing=0.1, ignore_prefix_size=ignore_prefix_size, **named(settings)
    )
    return LabelSmoothedCrossEntropyWithSelfNormalization.build_criterion(config, task)


def plain(task, **settings):
    return SelfNormalization.build_criterion(SelfNormalizationConfig(sentence_avg=False, **named(settings)), task)


@pytest.fixture(params=["label smoothed", "plain"])
def pair(request):
    """Builds ours, and fairseq's."""
    if request.param == "plain":
        return plain, lambda task: CrossEntropyCriterion(task, False)
    return label_smoothed, lambda task: LabelSmoothedCrossEntropyCriterion(task, False, 0.1)


def log_z_of(model, sample):
    """Of the words that are no padding."""
    return model(**sample["net_input"])[0].logsumexp(2)[sample["target"] != PAD]


@pytest.mark.parametrize("training", [True, False])
def test_weight_zero_is_fairseqs_loss(pair, built, sample, training):
    (ours, theirs), (model, task) = pair, built
    expected, size, log = theirs(task)(model, sample)
    loss, own_size, own_log = ours(task, weight=0.0).train(training)(model, sample)
    # But for the order in which the positions are added up.
    torch.testing.assert_close(loss, expected)
    assert own_size == size
    torch.testing.assert_close(own_log["nll_loss"], log.get("nll_loss", log["loss"]))


@pytest.mark.parametrize("share", [1.0, 0.2])
def test_validation_has_the_penalty_of_every_position(pair, built, sample, share):
    (ours, theirs), (model, task) = pair, built
    loss, _, log = ours(task, weight=0.3, share=share).eval()(model, sample)
    log_z = log_z_of(model, sample)
    torch.testing.assert_close(loss, theirs(task)(model, sample)[0] + 0.3 * log_z.square().sum())
    assert log["log_z_sum"].item() == pytest.approx(log_z.sum().item(), rel=1e-5)
    assert log["log_z_squares"].item() == pytest.approx(log_z.square().sum().item(), rel=1e-5)
    assert log["log_z_count"] == 5


def test_a_share_that_takes_all_positions_is_the_whole_loss(pair, built, sample):
    """The other way to it: the features first, and the rows of the targets."""
    (ours, _), (model, task) = pair, built
    whole, few = (ours(task, weight=0.3, share=share)(model, sample) for share in (1.0, 0.99))
    torch.testing.assert_close(whole[0], few[0], rtol=1e-5, atol=1e-5)
    for name in ("nll_loss", "log_z_sum", "log_z_squares", "log_z_count", "ntokens", "sample_size", "nsentences"):
        assert float(whole[2][name]) == pytest.approx(float(few[2][name]), rel=1e-5)
    gradients = []
    for loss in (whole[0], few[0]):
        model.zero_grad()
        loss.backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4)


def test_few_positions_need_few_logits(pair, built, sample, monkeypatch):
    (ours, _), (model, task) = pair, built
    computed = []
    original = model.decoder.output_layer
    monkeypatch.setattr(type(model.decoder), "output_layer", lambda self, x: computed.append(x.shape) or original(x))
    log = ours(task, share=0.4)(model, sample)[2]
    assert computed == [(2, 8)]
    assert log["log_z_count"] == 2


def test_the_choice_follows_the_update_the_batch_and_the_seed(built, sample):
    model, task = built
    criterion = plain(task, share=0.4)

    def chosen(criterion, updates=0, first=4):
        criterion.set_num_updates(updates)
        return criterion(model, {**sample, "id": torch.tensor([first, 7])})[2]["log_z_sum"].item()

    assert chosen(criterion) == chosen(plain(task, share=0.4))
    assert len({chosen(criterion, updates) for updates in range(8)}) > 3
    assert len({chosen(criterion, first=first) for first in range(8)}) > 3
    assert len({chosen(plain(task, share=0.4, seed=seed)) for seed in range(8)}) > 3
    assert [chosen(criterion, updates) for updates in (3, 5)] == [chosen(criterion, updates) for updates in (3, 5)]


def test_not_reduced(pair, built, sample):
    (ours, _), (model, task) = pair, built
    for share in (1.0, 0.4):
        criterion = ours(task, share=share)
        loss = criterion(model, sample, reduce=False)[0].view(-1)
        assert loss[5] == 0.0  # padding
        torch.testing.assert_close(loss.sum(), criterion(model, sample)[0])


def test_the_ignored_prefix_is_ignored(built, sample):
    model, task = built
    whole = label_smoothed(task)(model, sample, reduce=False)[0].view(2, 3)
    for share in (1.0, 0.99):
        rest, _, log = label_smoothed(task, 1, share=share)(model, sample, reduce=False)
        torch.testing.assert_close(rest.view(2, 2), whole[:, 1:], rtol=1e-5, atol=1e-5)
        assert log["log_z_count"] == 3


def test_mean_and_deviation_of_log_z_over_batches(pair, built, sample):
    (ours, _), (model, task) = pair, built
    criterion = ours(task).eval()
    other = {**sample, "net_input": {**sample["net_input"], "prev_output_tokens": torch.tensor([[2, 5, 6], [2, 7, 1]])}}
    with metrics.aggregate() as numbers:
        for each in (sample, other):
            type(criterion).reduce_metrics([criterion(model, each)[2]])
    values = numbers.get_smoothed_values()
    log_z = torch.cat([log_z_of(model, each) for each in (sample, other)])
    assert values["log_z"] == pytest.approx(log_z.mean().item(), abs=1e-3)
    assert values["log_z_deviation"] == pytest.approx(log_z.std(correction=0).item(), abs=1e-3)
    assert not any(name.startswith("_") for name in values)
    assert values["ppl"] == pytest.approx(2 ** values["nll_loss"], rel=1e-2)


@pytest.mark.parametrize("share", [1.0, 0.6])
def test_training_draws_log_z_to_zero(sample, share):
    model, _, task = toy_model(dropout=0.0)
    criterion = plain(task, weight=1.0, share=share)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    assert log_z_of(model, sample).abs().mean() > 2
    for update in range(30):
        criterion.set_num_updates(update)
        optimizer.zero_grad()
        criterion(model, sample)[0].backward()
        optimizer.step()
    assert log_z_of(model, sample).abs().mean() < 0.7


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"weight": -0.1}, "--self-normalization-weight must be at least 0, got -0.1"),
        ({"weight": math.nan}, "--self-normalization-weight must be"),
        ({"share": 0.0}, "--self-normalization-share must be more than 0 and at most 1, got 0.0"),
        ({"share": 1.5}, "--self-normalization-share must be"),
        ({"seed": -1}, "--self-normalization-seed must be at least 0, got -1"),
    ],
)
def test_flags_outside_their_range(pair, built, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        pair[0](built[1], **settings)


def test_other_output_layers_are_refused(built):
    model, task = built
    plain(task, share=0.5).check_model(model)
    model.decoder.output_projection = torch.nn.Linear(8, 20)
    plain(task).check_model(model)
    with pytest.raises(UserError, match="--self-normalization-share below 1 needs an output layer"):
        plain(task, share=0.5).check_model(model)
    model.decoder.adaptive_softmax = object()
    with pytest.raises(UserError, match="--adaptive-softmax-cutoff does not work with self-normalisation"):
        plain(task).check_model(model)
