"""The real fairseq commands with length control, on small data: words instead of characters."""

import re

import pytest
from conftest import ROOT, fairseq, train
from test_commands import DECODING, hypotheses, one_sentence, train_log

pytestmark = pytest.mark.slow

TASK = ("--user-dir", "fairseq_alone", "--task", "headline_generation", "-s", "en", "-t", "de")


@pytest.fixture(scope="session")
def headlines(data, tmp_path_factory):
    """A small model with ldpe after a few updates, validated with BLEU: its folder, and the last validation."""
    folder = tmp_path_factory.mktemp("headlines")
    done = train(
        data,
        folder,
        *("--task", "headline_generation", "--length-encoding", "ldpe", "--tie-embeddings", "all"),
        *("--eval-bleu", "--eval-bleu-args", '{"beam": 2, "desired_length": 0}', "--max-update", 30),
        arch="transformer_alone_duc",
    )
    return folder, train_log(done.stdout, "valid")[-1]


def generate(data, checkpoint, *flags):
    return fairseq("generate", data, *TASK, "--path", checkpoint, *DECODING, *flags).stdout


def n_best(output):
    """All hypotheses of each sentence, in the order of the output."""
    found = {}
    for number, text in re.findall(r"^H-(\d+)\t\S+\t(.*)$", output, re.MULTILINE):
        found.setdefault(int(number), []).append(text)
    return found


def test_generate_interactive_and_hub_agree(data, corpus, headlines):
    from fairseq_alone.models.length_transformers import TransformerAloneLengthModel

    folder, _ = headlines
    checkpoint = folder / "checkpoint_last.pt"
    expected = hypotheses(generate(data, checkpoint, "--desired-length", 5))
    assert sorted(expected) == list(range(33))

    sentences = (corpus / "test.en").read_text()
    flags = ("--path", checkpoint, *DECODING, "--buffer-size", 8, "--max-tokens", 200, "--desired-length", 5)
    assert hypotheses(fairseq("interactive", data, *TASK, *flags, standard_input=sentences).stdout) == expected

    user_dir = str(ROOT / "fairseq_alone")
    names = (str(folder), "checkpoint_last.pt", str(data))
    hub = TransformerAloneLengthModel.from_pretrained(*names, user_dir=user_dir, desired_length=5)
    first = sentences.splitlines()[:6]
    found = hub.translate(first, beam=4)
    assert found == [expected[number] for number in range(6)]
    longer = hub.translate(first, beam=4, desired_length=12)
    assert sum(len(text.split()) for text in longer) > sum(len(text.split()) for text in found)


def test_generate_at_the_length_of_each_reference_with_all_beams(data, headlines):
    """In large batches, whose finished sentences leave the beam, and one by one."""
    checkpoint = headlines[0] / "checkpoint_last.pt"
    flags = ("--desired-length", 0, "--nbest", 4)
    together = n_best(generate(data, checkpoint, *flags))
    assert [len(texts) for texts in together.values()] == [4] * 33
    assert n_best(generate(data, checkpoint, *flags, "--batch-size", 1)) == together


def test_validate_repeats_the_loss_of_training(data, headlines):
    folder, during = headlines
    flags = ("--path", folder / "checkpoint_last.pt", "--cpu", "--max-tokens", 400, "--log-format", "json")
    done = fairseq("validate", data, *TASK, *flags, "--required-batch-size-multiple", 1)
    (after,) = train_log(done.stdout + done.stderr, "valid")
    assert float(after["valid_nll_loss"]) == pytest.approx(float(during["valid_nll_loss"]), abs=2e-3)
    assert "valid_bleu" in during


def test_the_ordinary_task_refuses_the_model(data, headlines):
    checkpoint = headlines[0] / "checkpoint_last.pt"
    ordinary = ("--user-dir", "fairseq_alone", "--path", checkpoint, *DECODING)
    done = fairseq("generate", data, *ordinary, check=False)
    one_sentence(done, "error: --length-encoding ldpe needs --task headline_generation")
