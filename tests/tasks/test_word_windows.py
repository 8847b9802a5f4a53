"""Batches of words and windows, and the task that makes them."""

import argparse

import numpy as np
import pytest
import torch
from small_models import dictionary

from fairseq_alone.corpus.windows import Predicted, WindowKind
from fairseq_alone.errors import UserError
from fairseq_alone.tasks.word_vectors import WordVectorsTask
from fairseq_alone.tasks.word_windows import Sentences, Symbols, WordWindows, whole_batch_or_none

PAD, END, UNKNOWN = 1, 2, 3
TEXT = np.array([4, 5, 6, 7, 8, END, 9, 4, END, 5, 6, 7, 4, END] * 5, dtype=np.int32)


def windows(predicted, drawn=True, reach=2, training=True, max_tokens=20, length=4, seed=1, kept=0.8):
    kind = WindowKind(reach, predicted, drawn)
    text = Sentences(TEXT, training)
    return WordWindows(text, kind, kept and np.full(10, kept), max_tokens, length, Symbols(PAD, END, UNKNOWN), seed)


def batches(found):
    return [found[number] for number in range(len(found))]


def same(first, second):
    return all(torch.equal(one["target"], other["target"]) for one, other in zip(first, second, strict=True))


def test_around_a_word_stand_the_words_of_its_window():
    for batch in batches(windows(Predicted.AROUND)):
        words, (left, right) = (
            batch["net_input"]["src_tokens"],
            (batch["net_input"][side] for side in ("left", "right")),
        )
        assert batch["target"].shape == batch["contexts"].shape == (*left.shape, 4)
        assert batch["ntokens"] == (left + right).sum()
        for row, place in np.ndindex(*left.shape):
            expected = [PAD] * 4
            for slot, distance in enumerate((-2, -1, 1, 2)):
                if -left[row, place] <= distance <= right[row, place]:
                    expected[slot] = int(words[row, place + 2 + distance])
            assert batch["target"][row, place].tolist() == expected
            assert set(batch["contexts"][row, place].tolist()) == {int(words[row, place + 2])}


def test_in_the_middle_stands_the_word_itself():
    batch = windows(Predicted.CENTRE)[0]
    counted = batch["net_input"]["left"] + batch["net_input"]["right"] > 0
    centres = batch["net_input"]["src_tokens"][:, 2:-2]
    assert torch.equal(batch["target"], centres.masked_fill(~counted, PAD))
    whole = windows(Predicted.CENTRE, drawn=False, max_tokens=14, kept=None)[0]
    assert set(whole["net_input"]) == {"src_tokens"}
    assert whole["target"][whole["target"] != PAD].tolist() == TEXT[:14][TEXT[:14] != END].tolist()


def test_whole_windows_of_what_subsampling_leaves():
    found = windows(Predicted.CENTRE, drawn=False, max_tokens=14)
    first = found[0]
    left = first["target"][first["target"] != PAD].tolist()
    assert 0 < len(left) < (TEXT[:14] != END).sum()
    assert first["ntokens"] == len(left)
    found.set_epoch(2)
    assert not same(batches(found), batches(windows(Predicted.CENTRE, drawn=False, max_tokens=14)))


def test_the_next_word_is_predicted_over_the_whole_text():
    found = batches(windows(Predicted.NEXT, drawn=False, reach=3, max_tokens=9))
    targets = torch.cat([batch["target"][batch["target"] != PAD] for batch in found])
    assert targets.tolist() == TEXT.tolist()
    # Two words stand before the first one that is predicted.
    assert (found[0]["target"][:, :2] == PAD).all()
    assert torch.equal(found[0]["net_input"]["src_tokens"][:, 3], found[0]["target"][:, 2])


def test_draws_depend_on_seed_epoch_and_number_only():
    first, again = windows(Predicted.AROUND), windows(Predicted.AROUND)
    assert same(batches(first), list(reversed([again[number] for number in reversed(range(len(again)))])))
    again.set_epoch(2)
    assert not same(batches(first), batches(again))
    assert not same(batches(first), batches(windows(Predicted.AROUND, seed=2)))
    # Two batches of the same text differ.
    lines = windows(Predicted.AROUND, max_tokens=14)
    assert not same([lines[0]], [lines[1]])
    valid = windows(Predicted.AROUND, training=False)
    before = batches(valid)
    valid.set_epoch(3)
    assert same(before, batches(valid))


def test_a_worker_without_a_batch_gets_an_empty_one():
    assert whole_batch_or_none([]) == {}
    assert whole_batch_or_none([{"id": 1}]) == {"id": 1}


def task(**settings):
    flags = {"sample_break_mode": None, "shorten_method": "none", "tokens_per_sample": 4, "window_subsample": None}
    return WordVectorsTask(argparse.Namespace(**{**flags, **settings}), dictionary(10))


@pytest.mark.parametrize(
    ("settings", "kind", "size", "sentence"),
    [
        ({}, WindowKind(2, Predicted.AROUND, True), None, "--max-tokens N is missing"),
        ({"window_subsample": -1.0}, WindowKind(2, Predicted.AROUND, True), 20, "--window-subsample must be at least"),
    ],
)
def test_flags_are_checked(settings, kind, size, sentence):
    made = task(**settings)
    made._kind = kind
    with pytest.raises(UserError, match=sentence):
        made.get_batch_iterator(Sentences(TEXT, True), max_tokens=size)


def test_an_iterator_deals_batches_out_to_workers():
    made = task(window_subsample=0.0)
    made._kind = WindowKind(2, Predicted.CENTRE, True)
    numbers = []
    for worker in range(2):
        iterator = made.get_batch_iterator(Sentences(TEXT, True), 20, seed=3, num_shards=2, shard_id=worker)
        numbers += [int(batch["id"][0]) for batch in iterator.next_epoch_itr() if batch]
    assert sorted(numbers) == list(range(4))
    assert numbers != list(range(4))
