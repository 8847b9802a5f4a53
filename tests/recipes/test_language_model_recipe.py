"""The language model recipe on a small text."""

import json
import math
import re
import shlex
from collections import Counter

import pytest
from served import serve_fairseq, served_command
from toy_text import text_corpus

from fairseq_alone.cli import main
from fairseq_alone.recipes import five_language_models, workers

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return text_corpus(tmp_path_factory.mktemp("text") / "corpus")


@pytest.fixture(scope="module")
def work(text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe") / "work dir"
    with pytest.MonkeyPatch.context() as patch:
        serve_fairseq(patch)
        assert main(["prepare", str(folder), str(text), "--recipe", "language_model"]) == 0
    return folder


@pytest.fixture
def command(monkeypatch, capsys):
    return served_command(monkeypatch, capsys)


def tokens(path):
    """Words and ends of sentences."""
    return sum(len(line.split()) + 1 for line in path.read_text().splitlines())


REAL = ("--embedding", "alone", "--tie", "decoder", "--inter-dim", 16, "--max-epoch", 2, "--cpu")
SMALL = ("--", "--decoder-embed-dim", 16, "--decoder-hidden-size", 16, "--decoder-out-embed-dim", 16)


def test_from_text_to_a_table(text, work, command):
    """LSTM, ALONE, tied, augmented loss: every word counted, the table printed, and nothing done twice."""
    training = ("train", work, "alone_real", *REAL, "--augmented-loss", 0.5, *SMALL)
    command(*training)
    log = (work / "runs/alone_real/train.log").read_text()
    rates = [float(rate) for rate in re.findall(r'"train_lr": "([^"]*)"', log)]
    assert rates[-1] == 0 < rates[0]
    assert "nothing to do" in command(*training).out
    refused = command("train", work, "alone_real", *REAL, "--augmented-loss", 0.8, *SMALL, status=1)
    assert "was trained with other settings" in refused.err

    evaluation = ("evaluate", work, "alone_real", "--context", 40, "--cpu")
    command(*evaluation)
    scores = json.loads((work / "runs/alone_real/scores.json").read_text())["language_model"]
    assert {split: score["tokens"] for split, score in scores.items()} == {
        split: tokens(text / f"{split}.txt") for split in ("valid", "test")
    }
    assert "nothing to do" in command(*evaluation).out

    (row,) = json.loads(command("compare", work / "runs/alone_real", "--json").out)
    assert (row["embedding"], row["tying"]) == ("alone (real)", "two-way")
    assert row["embedding_parameters"] == 16 * (16 + 16) + 16
    assert row["language_model"] == scores


def dry_run(command, work, *words):
    output = command("train", work, "dry", *words, "--dry-run").out
    assert not (work / "runs/dry").exists()
    (line,) = [line for line in output.splitlines() if line.startswith("command: ")]
    return output, shlex.split(line.removeprefix("command: "))


def test_command_follows_from_the_options(work, command):
    output, words = dry_run(command, work, "--preset", "medium", "--max-epoch", 3, "--cpu")
    assert "--arch lstm_lm_conventional" in output
    assert "--tie-embeddings none --criterion cross_entropy " in output
    assert "--decoder-hidden-size 650" in output
    # 150 sentences, in batches of 20 x 70 words: one update an epoch.
    assert "--total-num-update 3 --max-epoch 3" in output
    assert words[words.index("--distributed-world-size") + 1] == "1"


def test_embedding_of_a_share_of_the_table(work, command):
    flags = ("--embedding", "alone_share", "--share", "0.6", "--tie", "decoder", "--bits", "8", "--cpu")
    output, _ = dry_run(command, work, *flags)
    assert "--arch lstm_lm_alone --alone-share 0.6 --embedding-bits 8 --tie-embeddings decoder" in output
    output, _ = dry_run(command, work, "--embedding", "char_cnn", "--share", "0.6", "--cpu")
    assert "--arch lstm_lm_char_cnn --char-cnn-share 0.6 --tie-embeddings none" in output
    output, _ = dry_run(command, work, "--embedding", "char_cnn", "--cpu")
    assert "--arch lstm_lm_char_cnn --tie-embeddings none" in output


@pytest.mark.parametrize(
    ("gpus", "sequences", "updates", "sentence"),
    [
        # Of the Penn Treebank's 929,589 words there are 13,280 sequences of 70.
        (1, 20, 664, "effective batch 20 sequences = 1 worker x 20 sequences x update-freq 1"),
        (4, 5, 664, "effective batch 20 sequences = 4 workers x 5 sequences x update-freq 1"),
        (3, 6, 738, "3 workers do not divide 20 sequences: rounded down to 18"),
    ],
)
def test_several_gpus_share_a_batch_and_the_schedule_ends_at_the_end(
    tmp_path, monkeypatch, command, gpus, sequences, updates, sentence
):
    (tmp_path / "clean").mkdir()
    (tmp_path / "data-bin").mkdir()
    (tmp_path / "prepare.settings").write_text("train=1 2\nvalid=3 4\ntest=5 6\n")
    (tmp_path / "clean/counts").write_text(
        "train: 42068 sentences, 887521 words\nvalid: 1 sentences, 2 words\ntest: 1 sentences, 2 words\n"
    )
    monkeypatch.setattr(workers, "count_gpus", lambda: gpus)
    output, words = dry_run(command, tmp_path, "--max-epoch", 2)
    values = {flag: words[words.index(flag) + 1] for flag in words if flag.startswith("--")}
    assert sentence in output
    assert values["--distributed-world-size"] == str(gpus)
    assert values["--batch-size"] == str(sequences)
    assert values["--total-num-update"] == str(2 * updates)
    assert words.count("--fp16") == words.count("--cpu") == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--preset", "tiny"],
            "--preset must be one of small, papers, medium, large in the recipe language_model, got 'tiny'",
        ),
        (["--tie", "all"], "--tie must be none or decoder, got 'all'"),
        (
            ["--embedding", "none"],
            "--embedding must be conventional, factorized, alone, alone_share, codes, "
            "differentiated or char_cnn, got 'none'",
        ),
        (["--augmented-loss", "half"], "--augmented-loss must be a number like 0.5 and not negative, got 'half'"),
        (["--max-epoch", "0"], "--max-epoch must be a positive whole number, got '0'"),
        (["--embedding", "alone_share", "--share", "half"], "--share must be a number like 0.5 and not negative"),
        (["--max-update", "5"], "--max-update does not belong to the recipe language_model"),
        (["--output-layer", "tree"], "--output-layer must be softmax, hierarchical, differentiated or char_cnn, got"),
        (["--loss", "hinge"], "--loss must be cross_entropy, sampled_softmax, noise_contrastive_estimation, target_"),
        (["--loss", "sampled_softmax", "--augmented-loss", "1"], "--loss sampled_softmax does not work with --augmen"),
        (["--", "--batch-size", "5"], "--batch-size is fixed by the preset: the steps of the learning rate are"),
    ],
)
def test_bad_options_are_refused(work, command, options, message):
    assert message in command("train", work, "bad", *options, status=1).err
    assert not (work / "runs/bad").exists()


def test_bad_text_is_refused_by_file_and_line(text, work, command, tmp_path):
    def prepare(folder, status=0):
        return command("prepare", folder, tmp_path, "--recipe", "language_model", status=status)

    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.txt").write_bytes((text / f"{split}.txt").read_bytes())
    prepare(work)  # the same text from another folder
    (tmp_path / "valid.txt").write_bytes(b"good\nbad \xff\n")
    assert "with other settings or data (valid is not the file it was)" in prepare(work, status=1).err
    file = command("prepare", tmp_path / "new", text / "train.txt", "--recipe", "language_model", status=1).err
    assert "train.txt is a file; CORPUS of a language model is a folder with train.txt, valid.txt, test.txt" in file
    assert "valid.txt, line 2: not UTF-8" in prepare(tmp_path / "new", status=1).err
    assert not (tmp_path / "new").exists()
    (tmp_path / "test.txt").unlink()
    assert "test.txt: there is no such file" in prepare(tmp_path / "new", status=1).err


def test_a_carried_state_from_training_to_perplexity(text, work, command):
    """The learning rate ends at zero with the last piece, and evaluation reads each text at one go."""
    training = ("train", work, "carried", "--embedding", "conventional", "--tie", "decoder", "--max-epoch", 2, "--cpu")
    command(*training, "--carry-state", "--loss", "sampled_softmax", *SMALL)
    log = (work / "runs/carried/train.log").read_text()
    assert [float(rate) for rate in re.findall(r'"train_lr": "([^"]*)"', log)][-1] == 0
    pieces = math.ceil(math.ceil(tokens(text / "train.txt") / 20) / 70)
    assert f'"train_num_updates": "{2 * pieces}"' in log
    command("evaluate", work, "carried", "--cpu")
    scores = json.loads((work / "runs/carried/scores.json").read_text())["language_model"]
    assert scores["valid"]["tokens"] == tokens(text / "valid.txt")
    best = min(float(value) for value in re.findall(r'"valid_ppl": "([^"]*)"', log))
    assert scores["valid"]["perplexity"] == pytest.approx(best, abs=0.011)
    refused = command("evaluate", work, "carried", "--context", 9, "--cpu", status=1).err
    assert "--context does not work with carried, which was trained with --carry-state" in refused
    assert "with other settings" in command(*training, *SMALL, status=1).err
    # The preset of the papers carries the state by itself.
    out, _ = dry_run(command, work, "--preset", "papers", "--cpu")
    assert "--task truncated_bptt_lm" in out
    assert "--tokens-per-sample 35" in out
    assert "--no-scale-embedding" in out


def test_output_layers_and_losses_are_those_of_fairseq_train(work, command):
    def criterion(*options):
        words = shlex.split(command("train", work, "dry", *options, "--cpu", "--dry-run").out.split("command: ")[1])
        return words[words.index("--criterion") + 1], "--output-layer" in words

    assert criterion() == ("cross_entropy", False)
    assert criterion("--loss", "noise_contrastive_estimation") == ("noise_contrastive_estimation", False)
    assert criterion("--output-layer", "hierarchical") == ("output_layer_loss", True)
    assert criterion("--output-layer", "differentiated", "--loss", "sampled_softmax") == ("sampled_softmax", True)
    assert criterion("--output-layer", "char_cnn") == ("cross_entropy", True)


def test_rare_words_become_unknown(text, command, tmp_path):
    """--min-count: the words of the dictionary are those that occur often enough, and settings are told apart."""
    counts = Counter((text / "train.txt").read_text().split())
    often = sorted(word for word, count in counts.items() if count >= 30)
    assert 0 < len(often) < len(counts)
    prepare = ("prepare", tmp_path / "work", text, "--recipe", "language_model")
    command(*prepare, "--min-count", "30")
    entries = (tmp_path / "work/data-bin/dict.txt").read_text().splitlines()
    assert sorted(line.split()[0] for line in entries) == often
    assert "with other settings" in command(*prepare, status=1).err
    error = command("prepare", tmp_path / "x", text, "--recipe", "language_model", "--min-count", 0, status=1).err
    assert "--min-count must be a positive whole number, got '0'" in error


def test_a_word_too_few_is_an_error(work, tmp_path):
    from fairseq_alone.errors import UserError
    from fairseq_alone.recipes.evaluate_language_model import _read

    log = tmp_path / "log"
    log.write_text("Evaluated 1,234 tokens in 1.0s\nLoss (base 2): 5, Perplexity: 32.5\n")
    assert _read(log, 1234, "test") == {"perplexity": 32.5, "tokens": 1234}
    with pytest.raises(UserError, match="counted 1234 words, but test has 1235 with the ends of sentences"):
        _read(log, 1235, "test")
    log.write_text("Evaluated 1,234 tokens in 1.0s\nLoss (base 2): nan, Perplexity: nan\n")
    with pytest.raises(UserError, match="no perplexity that is a number"):
        _read(log, 1234, "test")


def test_all_five_models_are_trained_and_evaluated(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(five_language_models, "prepare", lambda recipe, *_: calls.append(recipe))
    monkeypatch.setattr(five_language_models, "plan_training", lambda work, name, options: (name, options))
    monkeypatch.setattr(five_language_models, "execute", lambda plans: calls.extend(plans))
    monkeypatch.setattr(five_language_models, "evaluate", lambda work, name, options: calls.append(name))
    monkeypatch.setattr(five_language_models, "tool", lambda name, *arguments: calls.append(name))
    assert main(["language-models", str(tmp_path), "corpus", "--weight", "0.7", "--seed", "3", "--cpu"]) == 0
    assert calls[0] == "language_model"
    trained = {
        name: (options.embedding, options.tie, options.augmented_loss, options.seed) for name, options in calls[1:11:2]
    }
    assert trained == {
        "baseline": ("conventional", "none", "0", "3"),
        "al": ("conventional", "none", "0.7", "3"),
        "re": ("conventional", "decoder", "0", "3"),
        "real": ("conventional", "decoder", "0.7", "3"),
        "alone_re": ("alone", "decoder", "0", "3"),
    }
    assert calls[2:11:2] == list(trained)
    assert calls[11:] == ["plot", "compare"]
