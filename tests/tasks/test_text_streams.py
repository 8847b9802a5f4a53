"""A text as parallel streams: every token once, each worker's batches in a row."""

import numpy as np
import pytest
import torch

from fairseq_alone.tasks.text_streams import Text, TextStreams

PAD, EOS = 1, 2


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("tokens", "streams", "length"), [(24, 3, 4), (25, 3, 4), (7, 3, 100), (11, 1, 3)])
def test_every_token_is_predicted_once_from_the_one_before(tokens, streams, length, workers):
    if tokens < streams * workers:
        pytest.skip("too short")
    text = np.arange(10, 10 + tokens)
    batches = TextStreams(Text(text, True), streams, workers, length, PAD, EOS, tells_first=True)
    read = {(worker, row): [] for worker in range(workers) for row in range(streams)}
    for number in range(len(batches)):
        batch = batches[number]
        assert batch["net_input"]["first_piece"] == (number < workers)
        assert batch["ntokens"] == (batch["target"] != PAD).sum()
        for row in range(streams):
            pairs = zip(batch["net_input"]["src_tokens"][row].tolist(), batch["target"][row].tolist(), strict=True)
            read[number % workers, row] += [pair for pair in pairs if pair[1] != PAD]
    # Stream by stream, in the order of workers and rows, it is the whole text.
    pairs = [pair for stream in read.values() for pair in stream]
    assert pairs == list(zip([EOS, *text[:-1].tolist()], text.tolist(), strict=True))


def test_fewer_tokens_than_streams_are_refused():
    with pytest.raises(ValueError, match="a text of 5 tokens cannot be read as 6 streams"):
        TextStreams(Text(np.arange(5), True), 3, 2, 4, PAD, EOS, tells_first=False)


def test_a_model_without_a_state_is_told_nothing():
    batch = TextStreams(Text(np.arange(9), True), 3, 1, 4, PAD, EOS, tells_first=False)[0]
    assert set(batch["net_input"]) == {"src_tokens", "src_lengths"}
    assert torch.equal(batch["net_input"]["src_lengths"], torch.full((3,), 3))
