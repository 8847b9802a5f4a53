"""The recipe for translation end to end, on a corpus of a few hundred sentences."""

import json
import pickle

import pytest
from served import serve_fairseq, served_run_jobs

import fairseq_alone
from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.cli import main
from fairseq_alone.cli.training_log import read_training_log
from fairseq_alone.recipes import execute

pytestmark = pytest.mark.slow


def updates(run_dir):
    return load_checkpoint(run_dir / "checkpoints/checkpoint_last.pt")["optimizer_history"][-1]["num_updates"]


@pytest.fixture(scope="module")
def work(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe") / "work dir"
    with pytest.MonkeyPatch.context() as patch:
        serve_fairseq(patch)
        assert main(["prepare", str(folder), str(corpus), "--merges", "60", "--workers", "1"]) == 0
    return folder


@pytest.fixture
def command(capsys, monkeypatch):
    # One thread for each process, so that both are not slower than one.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def run(*words, status=0):
        capsys.readouterr()
        assert main([*map(str, words), "--cpu"]) == status, capsys.readouterr().err
        return capsys.readouterr()

    return run


TRAINING = ("--embedding", "alone_real", "--inter-dim", 16, "--effective-tokens", 1024)


def test_from_raw_text_to_a_table(work, command, monkeypatch, tmp_path, capsys):
    """Two processes, interrupted between epochs, one process, then average, translate, score, compare and plot.

    Of each command of fairseq one is a process of its own, as the user's are.
    """
    with monkeypatch.context() as patch:
        patch.setattr(execute, "run_jobs", served_run_jobs)
        first = command("train", work, "two", "--workers", 2, *TRAINING, "--max-epoch", 1)
    assert "effective batch 1,024 tokens = 2 workers x 512 tokens x update-freq 1" in first.out
    assert "two: epoch 1 of 1, " in first.err
    run_dir = work / "runs/two"
    done_after_one = updates(run_dir)
    # As if it had been stopped after the first epoch: not done, and the settings ask for one more.
    (run_dir / "done").unlink()
    settings = run_dir / "settings"
    settings.write_text(settings.read_text().replace("max_epoch=1", "max_epoch=2"))
    command("train", work, "two", *TRAINING, "--max-epoch", 2)
    assert updates(run_dir) > done_after_one
    log = read_training_log(str(run_dir / "train.log"))
    assert [validation.epoch for validation in log.validations] == [1, 2]

    again = command("train", work, "two", "--workers", 2, *TRAINING, "--max-epoch", 2)
    assert "nothing to do" in again.out
    other = command("train", work, "two", *TRAINING, "--max-epoch", 2, "--inter-dim", 32, status=1)
    assert "trained with other settings" in other.err

    command("evaluate", work, "two")
    scores = json.loads((run_dir / "scores.json").read_text())
    assert scores["sentences"] == 33
    assert "case:mixed" in scores["BLEU"]["signature"]
    assert len((run_dir / "test.hyp.de").read_text().split("\n")) == 34
    again = command("evaluate", work, "two").out
    assert f"nothing to do\nBLEU {scores['BLEU']['score']:.2f}, chrF {scores['chrF']['score']:.2f}\n" in again
    assert "averaging" not in again
    assert_translate_gives_the_hypotheses_of(run_dir, work / "clean/test.en", tmp_path)

    capsys.readouterr()
    assert main(["compare", str(run_dir), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["embedding_parameters"] == 16 * (128 + 128) + 128
    assert row["BLEU"] == scores["BLEU"]
    assert main(["plot", str(run_dir), "--output", str(tmp_path / "curve.png")]) == 0
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"


def assert_translate_gives_the_hypotheses_of(run_dir, source, tmp_path):
    """The command gives, line by line, what the evaluation scored; so does Python, after a pickle."""
    expected = (run_dir / "test.hyp.de").read_text("utf-8")
    assert len(set(expected.splitlines())) > 2
    assert main(["translate", str(run_dir), "--input", str(source), "--output", str(tmp_path / "hyp")]) == 0
    assert (tmp_path / "hyp").read_text("utf-8") == expected
    translator = pickle.loads(pickle.dumps(fairseq_alone.load(run_dir)))
    assert translator.translate(source.read_text("utf-8").splitlines()[:4]) == expected.splitlines()[:4]


@pytest.mark.parametrize("embedding", ["conventional", "factorized", "alone_binary"])
def test_every_embedding_trains(work, monkeypatch, embedding):
    serve_fairseq(monkeypatch)
    size = [] if embedding == "conventional" else ["--inter-dim", "16"]
    words = ["--embedding", embedding, *size, "--max-update", "1", "--cpu", "--quiet", "--", "--disable-validation"]
    assert main(["train", str(work), embedding, *words]) == 0
    assert updates(work / "runs" / embedding) == 1


def test_a_sentence_of_the_model_is_the_refusal(work, monkeypatch, capsys):
    """What only fairseq and the model know leaves no folder behind, either."""
    serve_fairseq(monkeypatch)
    assert main(["train", str(work), "refused", "--share", "7", "--cpu", "--quiet"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("fairseq-alone train: error: fairseq-train: --alone-share ")
    assert not (work / "runs/refused").exists()


def test_a_failed_translation_shows_its_end_and_leaves_no_scores(work, monkeypatch, capsys):
    serve_fairseq(monkeypatch)
    run_dir = work / "runs/broken"
    (run_dir / "checkpoints").mkdir(parents=True)
    words = ["--embedding", "conventional", "--max-update", "1", "--cpu", "--quiet", "--", "--disable-validation"]
    assert main(["train", str(work), "broken", *words]) == 0
    (run_dir / "scores.json").write_text("{}")
    assert main(["evaluate", str(work), "broken", "--cpu", "--", "--no-such-flag"]) == 1
    errors = capsys.readouterr().err
    assert f"fairseq-generate failed; the whole of its messages is in {run_dir}/generate.log" in errors
    assert "--no-such-flag: there is no such flag" in errors
    assert not (run_dir / "scores.json").exists()


def test_evaluation_needs_a_checkpoint(work, capsys):
    assert main(["evaluate", str(work), "none"]) == 1
    assert "runs/none: there is no such run; " in capsys.readouterr().err
    (work / "runs/begun").mkdir()
    assert main(["evaluate", str(work), "begun"]) == 1
    assert "runs/begun/checkpoints/checkpoint_last.pt is missing; run fairseq-alone train first" in (
        capsys.readouterr().err
    )
