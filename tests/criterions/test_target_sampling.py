"""Target sampling on small models in this process, with fairseq's own trainer and batches."""

import itertools
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fairseq.data import LanguagePairDataset
from fairseq.data.iterators import EpochBatchIterator
from fairseq_training import micro_batch, train, trainer
from small_models import build
from toy_checkpoints import toy_task

from fairseq_alone.criterions.target_sampling import TargetSampling
from fairseq_alone.errors import UserError
from fairseq_alone.modules.computed_embedding import ComputedEmbedding

SENTENCES = 60


def pairs(task):
    """Made-up sentences; those of one length, which come into one batch, are not neighbours."""
    generator = random.Random(5)
    texts = [
        torch.tensor([generator.randrange(4, 50) for _ in range(generator.randint(2, 6))] + [2])
        for _ in range(SENTENCES)
    ]
    sizes = np.array([len(text) for text in texts])
    words = task.target_dictionary
    return LanguagePairDataset(texts, sizes, words, texts, sizes, words)


def made(size=30):
    """A trainer with target sampling, and its iterator."""
    training = trainer(
        *("--criterion", "target_sampling", "--target-sampling-size", size, "--max-tokens", 16),
        *("--required-batch-size-multiple", 1),
    )
    training.task.datasets["train"] = pairs(training.task)
    return training, training.get_train_iterator(1, load_dataset=False)


@pytest.fixture(scope="module")
def shared():
    return made()


def words_of(training, batch):
    return training.criterion.words_of(torch.as_tensor(batch)).tolist()


def test_every_batch_has_one_part_with_its_targets(shared):
    training, iterator = shared
    parts = []
    for batch in iterator.frozen_batches:
        words = words_of(training, batch)
        targets = set(torch.cat([iterator.dataset[number]["target"] for number in batch]).tolist())
        assert targets <= set(words)
        assert len(words) <= 30
        parts.append(words)
    # Consecutive batches share a part, and there are several.
    assert 1 < len(list(itertools.groupby(parts))) < len(parts)


def test_the_parts_are_the_same_in_every_order_and_on_every_worker(shared):
    training, iterator = shared
    whole = {frozenset(map(int, batch)): words_of(training, batch) for batch in iterator.frozen_batches}
    other, own_iterator = made()
    found = {}
    for rank in (0, 1):
        batches = own_iterator.frozen_batches
        dataset = own_iterator.dataset
        shard = EpochBatchIterator(dataset, dataset.collater, batches, num_shards=2, shard_id=rank)
        for _ in range(2):
            for sample in shard.next_epoch_itr(shuffle=True):
                if sample:  # a worker may have one less
                    found[frozenset(sample["id"].tolist())] = other.criterion.words_of(sample["id"]).tolist()
    assert found == whole


def test_training_computes_the_words_of_the_part_only(shared, monkeypatch):
    training, iterator = shared
    computed = []
    original = type(training.model.decoder.embed_tokens).compute
    monkeypatch.setattr(ComputedEmbedding, "matrix", None)
    monkeypatch.setattr(
        type(training.model.decoder.embed_tokens),
        "compute",
        lambda self, ids, input_dropout=False: computed.append(len(ids)) or original(self, ids, input_dropout),
    )
    samples = [[sample] for sample in iterator.next_epoch_itr(shuffle=True)]
    losses = [loss for loss, _ in train(training, samples[:4])]
    assert all(loss > 0 for loss in losses)
    assert max(computed) <= 30
    assert len(computed) == 12  # two inputs and the output


def test_the_loss_is_that_of_the_softmax_over_the_part(shared):
    training, iterator = shared
    model, criterion = training.model.eval(), training.criterion.train()
    sample = next(iter(iterator.next_epoch_itr(shuffle=False)))
    loss, size, _ = criterion(model, sample)
    logits = model(**sample["net_input"])[0]
    missing = torch.ones(50, dtype=torch.bool)
    missing[criterion.words_of(sample["id"])] = False
    assert missing.any()
    logits = logits.masked_fill(missing, -torch.inf)
    expected = F.cross_entropy(logits.view(-1, 50), sample["target"].view(-1), ignore_index=1, reduction="sum")
    torch.testing.assert_close(loss, expected)
    assert size == sample["ntokens"]


def test_a_part_of_all_words_is_the_softmax_of_the_words_that_occur():
    training, iterator = made(size=50)
    criterion = training.criterion
    assert len({tuple(words_of(training, batch)) for batch in iterator.frozen_batches}) == 1
    sample = next(iter(iterator.next_epoch_itr(shuffle=False)))
    seen = sorted(set(torch.cat([iterator.dataset[number]["target"] for number in range(SENTENCES)]).tolist()))
    assert criterion.words_of(sample["id"]).tolist() == seen


def test_the_same_batches_are_not_read_again(shared, monkeypatch):
    training, iterator = shared
    words = words_of(training, iterator.frozen_batches[0])
    monkeypatch.setattr(type(iterator.dataset), "__getitem__", None)
    training.criterion.set_batches(iterator.dataset, iterator.frozen_batches)
    assert words_of(training, iterator.frozen_batches[0]) == words


def test_a_batch_that_was_not_told_is_a_bug(shared):
    training, iterator = shared
    first, last = iterator.frozen_batches[0], iterator.frozen_batches[-1]
    with pytest.raises(AssertionError, match="a batch of several parts"):
        words_of(training, [int(first[0]), int(last[0])])


def test_refused():
    with pytest.raises(UserError, match="--target-sampling-size must be at least 2, got 1"):
        TargetSampling(toy_task(50), False, 1)
    with pytest.raises(UserError, match=r"--target-sampling-size 5 is less than the \d+ different targets of one bat"):
        made(size=5)
    with pytest.raises(UserError, match="needs --task translation or language_modeling"):
        TargetSampling(toy_task(50), False, 9).set_batches([torch.tensor([1, 2])], [[0]])


def test_validation_is_over_all_words():
    model = build("transformer_factorized")
    sample = micro_batch(torch.Generator().manual_seed(3))
    loss, _, _ = TargetSampling(toy_task(50), False, 9).eval()(model, sample)
    logits = model(**sample["net_input"])[0]
    expected = F.cross_entropy(logits.view(-1, 50), sample["target"].view(-1), ignore_index=1, reduction="sum")
    torch.testing.assert_close(loss, expected)
