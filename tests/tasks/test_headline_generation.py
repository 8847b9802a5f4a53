"""The task headline_generation: where the lengths come from, and what reaches the models."""

import argparse
import functools

import pytest
import torch
from fairseq.data import LanguagePairDataset
from fairseq.sequence_generator import SequenceGenerator
from toy_checkpoints import toy_model

from fairseq_alone.errors import UserError

PAD, EOS = 1, 2
WORD = 5


def generation(**flags):
    """Flags of fairseq-generate, as the task sees them."""
    return argparse.Namespace(**flags)


def batch(task, source_lengths, target_lengths=None):
    """A batch as fairseq-generate makes it; without targets as fairseq-interactive does."""
    random = torch.Generator().manual_seed(3)
    vocabulary = len(task.source_dictionary)

    def sentences(lengths):
        words = [torch.randint(4, vocabulary, (length,), generator=random) for length in lengths]
        return [torch.cat((sentence, torch.tensor([EOS]))) for sentence in words]

    sources = sentences(source_lengths)
    targets = None if target_lengths is None else sentences(target_lengths)
    dataset = LanguagePairDataset(
        sources,
        [len(source) for source in sources],
        task.source_dictionary,
        targets,
        None if targets is None else [len(target) for target in targets],
        task.target_dictionary,
    )
    return dataset.collater([dataset[index] for index in range(len(sources))])


class Recorder:
    """Stands for fairseq's generator: remembers the batch it is asked to decode."""

    max_len_a, max_len_b, max_len = 0, 200, 1024

    def generate(self, models, sample, **kwargs):
        self.sample = sample
        return []


def lengths_reaching_the_model(task, desired_length, sample):
    recorder = Recorder()
    recorder.desired_length = desired_length
    task.inference_step(recorder, [], sample)
    return recorder.sample["net_input"].get("target_lengths")


@pytest.fixture
def toy():
    model, _, task = toy_model("transformer_length_duc", task="headline_generation")
    return model.eval(), task


def test_a_desired_length_counts_no_end_symbol(toy):
    sample = batch(toy[1], [3, 5])
    lengths = lengths_reaching_the_model(toy[1], 30, sample)
    assert lengths.tolist() == [31, 31]
    assert lengths.dtype == torch.int64
    assert "target_lengths" not in sample["net_input"], "the caller's batch has changed"


def test_zero_takes_the_length_of_each_reference(toy):
    sample = batch(toy[1], [3, 5, 4], [7, 2, 9])
    order = [[7, 2, 9][index] + 1 for index in sample["id"].tolist()]
    assert lengths_reaching_the_model(toy[1], 0, sample).tolist() == order


def test_zero_needs_references(toy):
    with pytest.raises(UserError, match="--desired-length 0 .* give a length"):
        lengths_reaching_the_model(toy[1], 0, batch(toy[1], [3]))


def test_no_desired_length_changes_nothing(toy):
    sample = batch(toy[1], [3, 5], [4, 4])
    recorder = Recorder()
    toy[1].inference_step(recorder, [], sample)
    assert recorder.sample is sample


def test_a_search_that_ends_too_early_is_refused(toy):
    sample = batch(toy[1], [3, 5])
    assert lengths_reaching_the_model(toy[1], 200, sample).tolist() == [201, 201]
    with pytest.raises(UserError, match="--desired-length 201 is beyond the end of the search at 200 .* --max-len-b"):
        lengths_reaching_the_model(toy[1], 201, sample)


def test_a_reference_beyond_the_end_of_the_search_is_refused(toy):
    model, task = toy
    sample = batch(task, [3, 5, 4], [25, 2, 9])
    task.inference_step(task.build_generator([model], generation(max_len_b=25, desired_length=0)), [model], sample)
    short = task.build_generator([model], generation(max_len_b=24, desired_length=0))
    with pytest.raises(UserError, match="--desired-length 0, here 25, is beyond the end of the search at 24 tokens"):
        task.inference_step(short, [model], sample)


@pytest.mark.parametrize("desired_length", [0, 5])
def test_the_length_of_the_source_is_no_desired_length(toy, desired_length):
    """fairseq's search for ``--match-source-len`` forces each output to the length of its source."""
    model, task = toy
    with pytest.raises(UserError, match="--match-source-len makes every output as long as its source"):
        task.build_generator([model], generation(match_source_len=True, desired_length=desired_length))


def test_the_flag_and_what_overrides_it(toy):
    model, task = toy
    task.cfg.desired_length = 12
    assert task.build_generator([model], generation()).desired_length == 12
    assert task.build_generator([model], generation(desired_length=7)).desired_length == 7
    assert task.build_generator([model], generation(desired_length=0)).desired_length == 0


def ordinary():
    return toy_model("transformer_length_duc", length_encoding="none")[0]


@pytest.mark.parametrize(
    ("desired_length", "models", "words"),
    [
        (None, ["length"], "--desired-length is missing: .* --length-encoding lrpe"),
        (-1, ["length"], "--desired-length must be at least 0, got -1"),
        (30, ["ordinary"], "--desired-length 30 needs a model .* --length-encoding"),
        (0, ["ordinary"], "--desired-length 0 needs a model"),
        (30, ["lstm"], "--desired-length 30 needs a model"),
        (30, ["length", "ordinary"], "some models of the ensemble have a --length-encoding"),
    ],
)
def test_lengths_that_do_not_suit_the_models_are_refused(toy, desired_length, models, words):
    model, task = toy
    models = [{"length": model, "ordinary": ordinary(), "lstm": torch.nn.LSTM(2, 2)}[name] for name in models]
    with pytest.raises(UserError, match=words):
        task.build_generator(models, generation(desired_length=desired_length))


def test_models_without_a_length_encoding_decode_as_in_the_ordinary_task(toy):
    generator = toy[1].build_generator([ordinary()], generation())
    assert isinstance(generator, SequenceGenerator)
    assert getattr(generator, "desired_length", None) is None


def test_references_are_scored_at_their_own_length(toy):
    model, task = toy
    sample = batch(task, [3, 5, 4], [7, 2, 9])
    for desired_length in (None, 0):
        scorer = task.build_generator([model], generation(score_reference=True, desired_length=desired_length))
        scores = [hypos[0]["positional_scores"] for hypos in task.inference_step(scorer, [model], sample)]
        with torch.no_grad():
            encoder_out = model.encoder(
                sample["net_input"]["src_tokens"], target_lengths=sample["target"].ne(PAD).sum(dim=1)
            )
            logits = model.decoder(sample["net_input"]["prev_output_tokens"], encoder_out)[0]
        expected = logits.log_softmax(-1).gather(2, sample["target"].unsqueeze(2)).squeeze(2)
        for row, score in enumerate(scores):
            torch.testing.assert_close(score, expected[row, : len(score)])
    with pytest.raises(UserError, match="--score-reference .* not at --desired-length 30"):
        task.build_generator([model], generation(score_reference=True, desired_length=30))


def decode(task, model, sample, **flags):
    generator = task.build_generator([model], generation(max_len_b=25, **flags))
    return task.inference_step(generator, [model], sample)


@functools.cache
def writer(encoding, absolute, longest=16, steps=200):
    """A model that has learnt to write one word until the length is reached, and its task."""
    wide = {f"{side}_embed_dim": 32 for side in ("encoder", "decoder")}
    flags = {"length_encoding": encoding, "length_with_absolute": absolute, "dropout": 0.0, **wide}
    model, _, task = toy_model("transformer_length_duc", task="headline_generation", **flags)
    random = torch.Generator().manual_seed(4)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    columns = torch.arange(longest)
    model.train()
    for _ in range(steps):
        sources = torch.randint(4, 20, (32, 3), generator=random)
        lengths = torch.randint(1, longest, (32, 1), generator=random)
        targets = torch.where(columns < lengths, WORD, torch.where(columns == lengths, EOS, PAD))  # (32, longest)
        inputs = torch.where(columns == 0, EOS, torch.where(columns <= lengths, WORD, PAD))  # targets, one to the right
        logits = model(sources, torch.full((32,), 3), inputs)[0]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, ignore_index=PAD).backward()
        optimizer.step()
    return model.eval(), task


@pytest.mark.parametrize("absolute", [False, True])
def test_a_trained_model_writes_as_much_as_it_is_told(absolute):
    model, task = writer("ldpe", absolute)
    for desired_length in (2, 5, 9, 14):
        hypos = decode(task, model, batch(task, [2, 4, 3]), beam=1, desired_length=desired_length)
        lengths = [len(sentence[0]["tokens"]) - 1 for sentence in hypos]
        assert all(abs(length - desired_length) <= 1 for length in lengths), lengths


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("encoding", ["ldpe", "lrpe"])
def test_a_batch_decodes_as_its_sentences_do_alone(encoding, absolute):
    """All beams of sentences that end at different steps: fairseq takes finished sentences out of the batch."""
    model, task = writer(encoding, absolute)
    together = batch(task, [3, 6, 2, 5, 4], [2, 14, 7, 1, 11])
    found = decode(task, model, together, beam=4, desired_length=0)
    assert len({len(hypos[0]["tokens"]) for hypos in found}) > 1, "all sentences ended at the same step"
    for row, hypos in enumerate(found):
        here = slice(row, row + 1)
        net_input = {name: together["net_input"][name][here] for name in ("src_tokens", "src_lengths")}
        alone = {"id": together["id"][here], "net_input": net_input, "target": together["target"][here]}
        [expected] = decode(task, model, alone, beam=4, desired_length=0)
        assert [hypo["tokens"].tolist() for hypo in hypos] == [hypo["tokens"].tolist() for hypo in expected]
        for hypo, other in zip(hypos, expected, strict=True):
            torch.testing.assert_close(hypo["score"], other["score"])
