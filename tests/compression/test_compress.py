"""``fairseq-alone compress``: fairseq's real training of small students, on made-up data."""

import contextlib
import io
import json
import re
import shutil

import pytest
from conftest import fairseq, train
from fairseq_commands import generate, hypotheses, train_log
from recipes.served import served_run_jobs

from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.cli import main
from fairseq_alone.export.stock import stock_model
from fairseq_alone.inference.opening import open_model
from fairseq_alone.inference.trained_model import READS_ON
from fairseq_alone.recipes import execute
from fairseq_alone.recipes.run_folder import RunFolder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def served():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "run_jobs", served_run_jobs)
        yield


def compress(*words, status=0):
    """What the command printed, and on standard error."""
    printed, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
        assert main(["compress", *map(str, words), "--cpu", "--quiet"]) == status, errors.getvalue()
    return printed.getvalue() if status == 0 else errors.getvalue().strip().splitlines()[-1]


SMALLER = ("--family", "factorized", "--share", 0.5, "--lr", 0.005)


@pytest.fixture(scope="module")
def teacher(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    flags = ("--share-all-embeddings", "--max-update", 60, "--no-epoch-checkpoints", "--lr-scheduler", "inverse_sqrt")
    train(data, folder, *flags, "--warmup-updates", 10, arch="transformer")
    return folder / "checkpoint_last.pt"


@pytest.fixture(scope="module")
def compressed(data, teacher, tmp_path_factory):
    """The folder, and what was printed as JSON."""
    folder = tmp_path_factory.mktemp("compressed") / "out"
    found = json.loads(compress(teacher, data, *SMALLER, "--epochs", 4, "--bits", 8, "--output", folder, "--json"))
    return folder, found


def test_the_student_comes_nearer_to_the_teacher_and_is_smaller(compressed):
    _, found = compressed
    teacher, start, tuned, stored = (found["models"][name] for name in ("teacher", "start", "tuned", "stored"))
    assert teacher["valid_ppl"] < tuned["valid_ppl"] < start["valid_ppl"]
    assert stored["valid_ppl"] == pytest.approx(tuned["valid_ppl"], rel=0.05)
    assert (
        start["embedding_bytes"] == tuned["embedding_bytes"] == pytest.approx(0.5 * teacher["embedding_bytes"], rel=0.1)
    )
    # Every row of int8 has a scale, and rows are short here.
    assert stored["model_bytes"] < 0.5 * tuned["model_bytes"]
    assert 0 < found["explained"]["encoder.embed_tokens"] < 1


def test_perplexities_are_those_that_fairseq_logs(compressed, data, teacher):
    folder, found = compressed
    log = (folder / "train.log").read_text()
    logged = [float(ppl) for ppl in re.findall(r'"valid_ppl": "([^"]*)"', log)]
    assert len(logged) == 4
    assert found["models"]["tuned"]["valid_ppl"] == pytest.approx(logged[-1], rel=0.002)
    flags = ("--user-dir", "fairseq_alone", "--task", "translation", "--max-tokens", 400, "--cpu", "--num-workers", 0)
    done = fairseq("validate", data, "--path", teacher, *flags, "--required-batch-size-multiple", 1)
    ppl = float(re.findall(r"ppl ([\d.]+)", done.stdout + done.stderr)[-1])
    assert found["models"]["teacher"]["valid_ppl"] == pytest.approx(ppl, rel=0.002)


def test_it_is_trained_as_the_teacher_was_with_a_smaller_learning_rate(compressed, data, teacher, tmp_path):
    folder, _ = compressed
    criterion = load_checkpoint(str(folder / "model.pt"))["cfg"]["criterion"]
    assert criterion["_name"] == "label_smoothed_cross_entropy_with_distillation"
    assert criterion["label_smoothing"] == 0.1
    lines = train_log((folder / "train.log").read_text(), "train")
    assert float(lines[-1]["train_lr"]) == 0
    assert all(float(line["train_distillation_loss"]) > 0 for line in lines)
    compress(teacher, data, *SMALLER[:4], "--updates", 2, "--output", tmp_path / "out")
    command = (tmp_path / "out/command").read_text()
    # 0.01 * (10 / 60) ** 0.5 at the end of the teacher's training
    assert float(re.search(r"--lr (\S+)", command)[1]) == pytest.approx(0.5 * 0.01 * (10 / 60) ** 0.5)
    assert "--max-tokens 400 --update-freq 1" in command
    assert "--dropout=0.1" in command
    assert "--embedding-bits" not in command
    # The embedding is trained with the numbers of the file.
    assert "--embedding-bits=8" in (folder / "command").read_text()


def test_what_it_wrote_is_used_like_any_model(compressed, data):
    folder, _ = compressed
    assert len(hypotheses(generate(data, [folder / "model.pt"]).stdout)) == 33
    assert open_model(str(folder / "model.safetensors")).architecture == "transformer_factorized"
    # The teacher is needed in training only.
    moved = folder / "teacher.pt.moved"
    (folder / "teacher.pt").rename(moved)
    flags = ("--user-dir", "fairseq_alone", "--task", "translation", "--max-tokens", 400, "--cpu", "--num-workers", 0)
    fairseq("validate", data, "--path", folder / "model.pt", *flags)
    moved.rename(folder / "teacher.pt")


def test_again_nothing_is_done_and_other_settings_are_refused(compressed, data, teacher):
    folder, found = compressed
    words = (teacher, data, *SMALLER, "--epochs", 4, "--bits", 8, "--output", folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")}
    assert json.loads(compress(*words, "--json")) == found
    assert found["teacher_file"] == str(teacher)
    table = compress(*words)
    assert f"\nthe trained model: {teacher}\n" in table
    assert "\nin 8 bits: without the dictionary and the settings of the file, which are about 0.1 MB\n" in table
    assert re.search(r"\| the same, in 8 bits +\| +[\d.]+ \| +[\d,]+ \| +[\d,]+ \|", table)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")} == before
    sentence = compress(teacher, data, *SMALLER, "--epochs", 5, "--bits", 8, "--output", folder, status=1)
    assert (
        "was trained with other settings (there: epochs=4; now: epochs=5); choose another OUT, or delete that folder"
        in sentence
    )


def test_an_interrupted_training_goes_on(compressed, data, teacher, tmp_path):
    folder, found = compressed
    words = (teacher, data, *SMALLER, "--epochs", 4, "--bits", 8, "--output", tmp_path / "out", "--json")

    def stopped(jobs):
        (job,) = jobs
        command = [*job.command[3:], "--stop-min-lr", "-1", "--max-epoch", "2"]
        fairseq("train", *command)
        return 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "run_jobs", stopped)
        assert "stopped with status 1" in compress(*words, status=1)
    assert not (tmp_path / "out/model.pt").exists()
    again = json.loads(compress(*words))["models"]
    # fairseq makes other batches of the same sentences when it goes on.
    assert again["tuned"]["valid_ppl"] == pytest.approx(found["models"]["tuned"]["valid_ppl"], rel=0.02)
    assert again["start"] == found["models"]["start"]
    epochs = [line["epoch"] for line in train_log((tmp_path / "out/train.log").read_text(), "train")]
    assert epochs == [3, 4]


def test_two_workers_train_as_one(data, teacher, tmp_path):
    words = (teacher, data, *SMALLER, "--epochs", 2, "--effective-tokens", 800, "--json")
    # Many of each sentence's words are padding in a batch of few, so batches are not quite the same.
    one, two = (
        json.loads(compress(*words, "--output", tmp_path / str(workers), "--workers", workers)) for workers in (1, 2)
    )
    ppl = [found["models"]["tuned"]["valid_ppl"] for found in (one, two)]
    assert ppl[0] < one["models"]["start"]["valid_ppl"]
    assert ppl[1] == pytest.approx(ppl[0], rel=0.02)


def test_a_file_as_output(compressed, data, teacher, tmp_path):
    folder, _ = compressed
    shutil.copytree(folder, tmp_path / "small.compress")
    words = (teacher, data, *SMALLER, "--epochs", 4)
    compress(*words, "--bits", 8, "--output", tmp_path / "small.safetensors")
    assert (tmp_path / "small.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_a_language_model(english, tmp_path):
    fairseq(
        *("train", english, "--task=language_modeling", "--tokens-per-sample=50", "--arch=transformer_lm"),
        *("--decoder-embed-dim=16", "--decoder-input-dim=16", "--decoder-output-dim=16", "--decoder-ffn-embed-dim=16"),
        *("--decoder-layers=1", "--decoder-attention-heads=2", "--optimizer=adam", "--lr=0.01", "--batch-size=8"),
        *(
            "--cpu",
            "--num-workers=0",
            "--required-batch-size-multiple=1",
            "--max-update=20",
            "--no-epoch-checkpoints",
            "--save-dir",
            tmp_path,
        ),
        *("--criterion=cross_entropy", "--share-decoder-input-output-embed"),
    )
    words = (tmp_path / "checkpoint_last.pt", english, "--family", "factorized", "--share", 0.5, "--lr", 0.002)
    found = json.loads(compress(*words, "--updates", 20, "--output", tmp_path / "out", "--json"))["models"]
    assert found["tuned"]["valid_ppl"] < found["start"]["valid_ppl"]
    command = (tmp_path / "out/command").read_text()
    for flag in ("--batch-size 8", "--criterion cross_entropy_with_distillation"):
        assert flag in command


def test_a_language_model_whose_state_is_carried_on(english, tmp_path):
    """Student and teacher read on and on, too; and what is measured is what the teacher's own training logged."""
    log = fairseq(
        *("train", english, "--user-dir", "fairseq_alone", "--task", "truncated_bptt_lm", "--tokens-per-sample", 5),
        *("--arch", "lstm_lm_conventional", "--decoder-embed-dim", 16, "--decoder-hidden-size", 16),
        *("--decoder-layers", 1, "--decoder-out-embed-dim", 16, "--tie-embeddings", "decoder", "--batch-size", 6),
        *("--optimizer", "adam", "--lr", 0.02, "--max-epoch", 2, "--cpu", "--num-workers", 0, "--log-format", "json"),
        *("--no-epoch-checkpoints", "--save-dir", tmp_path),
    ).stdout
    words = (tmp_path / "checkpoint_last.pt", english, *SMALLER, "--output", tmp_path / "out")
    found = json.loads(compress(*words, "--epochs", 2, "--json"))["models"]
    own = float(train_log(log, "valid")[-1]["valid_ppl"])
    assert found["teacher"]["valid_ppl"] == pytest.approx(own, abs=0.01)
    folder = tmp_path / "out"
    tuned = train_log((folder / "train.log").read_text(), "valid")[-1]["valid_ppl"]
    assert found["tuned"]["valid_ppl"] == pytest.approx(float(tuned), abs=0.01)
    command = (folder / "command").read_text()
    assert "--task truncated_bptt_lm" in command
    # In the middle of an epoch the teacher's state would be lost.
    assert "--save-interval-updates" not in command
    # So that the recipe's evaluation reads on and on, too.
    assert RunFolder.at(folder).settings.count("carry_state=1") == 1
    refused = compress(*words[:-1], tmp_path / "other", "--max-tokens", 100, status=1)
    assert "--max-tokens and --effective-tokens do not work with a model whose state is carried on" in refused
    # A file of it, without the training, says so, too; stock fairseq does not know such a setting.
    file = tmp_path / "small.safetensors"
    assert main(["export", str(tmp_path / "checkpoint_last.pt"), str(file), "--to", "compact", "--no-verify"]) == 0
    words = (file, *words[1:-1], tmp_path / "of_file", "--updates", 1)
    found = json.loads(compress(*words, "--json"))["models"]
    assert found["teacher"]["valid_ppl"] == pytest.approx(own, rel=0.02)
    assert "--batch-size 20" in (tmp_path / "of_file/command").read_text()
    stored = open_model(str(file))
    assert stored.facts.carries_state
    stock = stock_model(stored).config["task"]
    assert READS_ON in stored.config["task"]
    assert READS_ON not in stock
    assert stock["_name"] == "language_modeling"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["--family", "none"], "--family must be one of conventional, factorized, alone, codes"),
        (["--share", 0.0001], r"--share 0.0001 with --family factorized: factorized_dim would be 0"),
        (["--lr", 0], "--lr must be a positive number, got 0.0"),
        (["--epochs", 0], "--epochs must be"),
        (["--epochs", 1, "--updates", 1], "--updates contradicts --epochs"),
        (["--output", "x.safetensors"], "--output x.safetensors: a compact file needs --bits 32, 8 or 4"),
        (["--output", "/proc/out"], "--output /proc/out: no file can be made in /proc"),
        (["--output", "/proc/x.pt"], "--output /proc/x.pt: no file can be made in /proc"),
        (["--score"], "--score needs a run of the recipe for translation as MODEL"),
    ],
)
def test_bad_input_is_one_sentence(change, sentence, data, teacher, tmp_path):
    found = compress(teacher, data, *SMALLER, "--output", tmp_path / "out", *change, status=1)
    assert re.match(f"fairseq-alone compress: error: {sentence}", found)
    assert not (tmp_path / "out").exists()


def test_data_of_other_words_is_refused(data, teacher, tmp_path):
    other = shutil.copytree(data, tmp_path / "other")
    for lang in ("en", "de"):
        path = other / f"dict.{lang}.txt"
        path.write_text(path.read_text().replace("w3 ", "x "))
    sentence = compress(teacher, other, *SMALLER, "--output", tmp_path / "out", status=1)
    assert f"{other}: its dictionaries are not those of {teacher}" in sentence
    assert "there is no such folder" in compress(teacher, "none", *SMALLER, "--output", tmp_path / "out", status=1)
