"""What the criterions share that train without a softmax: validation is fairseq's, training sees features."""

import math

import pytest
import torch
import torch.nn.functional as F
from fairseq.criterions.cross_entropy import CrossEntropyCriterion
from fairseq.logging import metrics
from fairseq.tasks.translation import TranslationTask
from fairseq_training import micro_batch
from small_models import build, dictionary

from fairseq_alone.criterions.sampled_mixin import SampledCriterion, require_at_least
from fairseq_alone.errors import UserError
from fairseq_alone.modules.computed_embedding import ComputedEmbedding


class AllWords(SampledCriterion):
    """The softmax itself, as one of them."""

    name = "all_words"
    means, losses = ("size",), ("same",)

    def training_loss(self, batch):
        logits = batch.features @ batch.rows.rows(torch.arange(batch.rows.num_embeddings)).t()
        self.batch = batch
        values = F.cross_entropy(logits, batch.targets, reduction="none")
        return values, {"size": batch.contexts.ne(0).sum(), "same": values.sum()}


@pytest.fixture(scope="module")
def model():
    return build("transformer_alone", "--tie-embeddings", "all")


@pytest.fixture
def criterion():
    words = dictionary(50)
    return AllWords(TranslationTask({}, words, words), False)


@pytest.fixture
def sample():
    return micro_batch(torch.Generator().manual_seed(3))


def logged(criterion, *outputs):
    with metrics.aggregate(new_root=True) as numbers:
        type(criterion).reduce_metrics(list(outputs))
    return dict(numbers.get_smoothed_values())


@pytest.mark.parametrize("reduce", [True, False])
def test_the_loss_of_features_is_the_loss_of_logits(model, criterion, sample, reduce):
    expected, size, _ = CrossEntropyCriterion(criterion.task, False)(model, sample, reduce)
    loss, own_size, log = criterion.train()(model, sample, reduce)
    torch.testing.assert_close(loss, expected)
    assert own_size == size
    torch.testing.assert_close(log["loss"], expected.sum().detach())


def test_contexts_are_the_words_before_and_padding_is_gone(model, criterion, sample):
    criterion.train()(model, sample)
    kept = sample["target"] != 1
    assert torch.equal(criterion.batch.contexts, sample["net_input"]["prev_output_tokens"][kept])
    assert torch.equal(criterion.batch.targets, sample["target"][kept])
    assert len(criterion.batch.features) == sample["ntokens"]


def test_validation_is_fairseqs_to_the_bit(model, criterion, sample):
    other = CrossEntropyCriterion(criterion.task, False)
    expected, _, expected_log = other(model, sample)
    loss, _, log = criterion.eval()(model, sample)
    assert torch.equal(loss, expected)
    assert log == expected_log
    assert logged(criterion, log, log) == logged(other, log, log)


def test_training_logs_base_2_means_and_no_perplexity(model, criterion, sample):
    _, _, log = criterion.train()(model, sample)
    values = logged(criterion, log, log)
    assert set(values) == {"loss", "size", "same"}
    assert (
        values["loss"] == values["same"] == pytest.approx(float(log["loss"]) / log["ntokens"] / math.log(2), abs=1e-3)
    )
    assert values["size"] == 1


def test_what_is_drawn_depends_on_seed_update_and_sentence(criterion, sample):
    def draw(seed=1, num_updates=0, sample=sample):
        criterion.set_num_updates(num_updates)
        return torch.rand(3, generator=criterion.generator(seed, sample)).tolist()

    assert draw() == draw()
    other = {**sample, "id": sample["id"] + 1}
    assert len({tuple(values) for values in (draw(), draw(2), draw(1, 1), draw(1, 0, other))}) == 4
    assert draw(sample={}) == draw()  # the first sentence of an unnamed batch is 0


def test_the_model_is_checked_and_told(model, criterion):
    model.decoder.embed_tokens.serves_output = True
    criterion.check_model(model)
    assert not any(m.serves_output for m in model.modules() if isinstance(m, ComputedEmbedding))
    with pytest.raises(UserError, match="--criterion all_words needs an output layer"):
        criterion.check_model(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("value", [0, float("nan"), float("inf"), -1])
def test_values_out_of_range(value):
    with pytest.raises(UserError, match="--few-words must be at least 1, got"):
        require_at_least("few-words", value, 1)
