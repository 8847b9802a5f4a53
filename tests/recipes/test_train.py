"""What a training does with processes and its run folder."""

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, environment
from train_recipe import TrainRecipe, value

pytestmark = pytest.mark.slow


@pytest.fixture
def recipe(tmp_path, monkeypatch, capsys):
    return TrainRecipe(tmp_path, monkeypatch, capsys)


def test_run_leaves_log_settings_command_and_done(recipe):
    done = recipe.run("--dropout", "0.3", training="echo hello; echo warning >&2")
    assert done.status == 0, done.err
    assert (recipe.path / "train.log").read_text() == "hello\nwarning\n"
    assert "hello" not in done.out
    assert done.out.splitlines()[-1] == f"trained: {recipe.path}"
    settings = (recipe.path / "settings").read_text()
    assert "embedding=conventional\nstart=corpus\ntie=all\naugmented_loss=0\nseed=1\n" in settings
    assert "\npreset_flags=--encoder-layers 4 " in settings
    assert "flags=--dropout 0.3\n" in settings
    assert (recipe.path / "done").read_text() == settings
    command = shlex.split((recipe.path / "command").read_text())
    assert command[2:] == (recipe.calls / "rank.0").read_text().splitlines()
    assert value(command, "--save-dir") == str(recipe.path / "checkpoints")


def test_verbose_shows_what_fairseq_prints(recipe):
    assert "hello\n" in recipe.run(training="echo hello", verbose=True).out
    assert (recipe.path / "train.log").read_text() == "hello\n"


def test_finished_run_is_skipped_and_other_settings_are_refused(recipe):
    assert recipe.run().status == 0
    (recipe.calls / "rank.0").unlink()
    again = recipe.run()
    assert again.status == 0
    assert "is trained already; nothing to do" in again.out
    assert not (recipe.calls / "rank.0").exists()
    assert "there: seed=1; now: seed=2" in recipe.refused(seed=2)
    assert "there: flags=; now: flags=--dropout 0.3" in recipe.refused("--dropout", "0.3")
    assert "there: nothing; now: fp16=0" in recipe.refused(no_fp16=True)
    settings = recipe.path / "settings"
    # As if another version of the preset had trained it.
    settings.write_text(settings.read_text().replace("--lr 0.004", "--lr 0.003"))
    assert "--lr 0.003" in recipe.refused()
    # As if a version had trained it that did not write down what the preset says.
    without = [line for line in settings.read_text().splitlines() if not line.startswith("preset_flags=")]
    settings.write_text("\n".join(without) + "\n")
    assert "nothing to do" in recipe.run().out
    assert "there: seed=1; now: seed=2)" in recipe.refused(seed=2)
    # Other hardware is no other setting.
    assert recipe.run(workers=2).status == 0
    assert recipe.run(name="other", seed=2).status == 0


def test_interrupted_run_goes_on_and_its_log_grows(recipe):
    failed = recipe.run(training=f"echo first; touch '{recipe.path}/checkpoints/checkpoint_last.pt'; exit 7")
    assert failed.status == 1
    assert "stopped with status 7; see the messages in" in failed.err
    assert not (recipe.path / "done").exists()
    assert recipe.run(training="echo second", quiet=True).status == 0
    assert (recipe.path / "train.log").read_text() == "first\nsecond\n"
    assert (recipe.path / "done").exists()


def test_what_fairseq_refuses_leaves_no_folder(recipe):
    refusal = "echo usage: ...; echo 'train.py: error: unrecognized arguments: --no-such' >&2; exit 2"
    line = recipe.refused("--no-such", training=refusal)
    assert line == "fairseq-alone train: error: fairseq-train: unrecognized arguments: --no-such"
    assert not (recipe.folder / "runs").exists()
    # What was there before stays.
    assert recipe.run(training="exit 7").status == 1
    recipe.refused(training=refusal)
    assert "unrecognized" in (recipe.path / "train.log").read_text()


def test_a_run_that_begins_anew_has_a_log_of_its_own(recipe):
    """Without a checkpoint nothing of the first training is in the second."""
    for text in ("first", "second", "third", "fourth"):
        assert recipe.run(training=f"echo {text}").status == 0
        assert (recipe.path / "train.log").read_text() == f"{text}\n"
        (recipe.path / "done").unlink()
    assert (recipe.path / "train.log.old").read_text() == "third\n"
    assert (recipe.path / "train.log.old.~2~").read_text() == "second\n"
    assert (recipe.path / "train.log.old.~1~").read_text() == "first\n"


def test_results_do_not_outlive_the_checkpoints_they_were_made_of(recipe):
    assert recipe.run(training="exit 7").status == 1
    (recipe.path / "headlines").mkdir()
    results = ("scores.json", "evaluate.settings", "averaged.pt", "headline_scores.json", "headline_scores.md")
    results += ("headlines/30.settings", "headlines/free.settings", "lengths.png", "generated.txt", "test.hyp.de")
    for name in results:
        (recipe.path / name).write_text("of the first part\n")
    (recipe.path / "headlines/30.first").write_text("a headline\n")
    assert recipe.run(dry_run=True).status == 0
    assert all((recipe.path / name).exists() for name in results)
    assert recipe.run().status == 0
    assert not any((recipe.path / name).exists() for name in results)
    assert (recipe.path / "headlines/30.first").exists()
    (recipe.path / "scores.json").write_text("of the whole training\n")
    assert "nothing to do" in recipe.run().out
    assert (recipe.path / "scores.json").exists()


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pid_of(calls, rank):
    path = calls / f"pid.{rank}"
    for _ in range(400):
        if path.exists() and path.read_text().strip():
            return int(path.read_text())
        time.sleep(0.05)
    raise AssertionError(f"rank {rank} never started")


@pytest.mark.parametrize("failing", [0, 1])
def test_failing_worker_stops_the_other(recipe, failing):
    training = f"if [[ $rank == {failing} ]]; then sleep 0.2; exit 3; fi; exec sleep 50"
    done = recipe.run(workers=2, training=training)
    assert done.status == 1
    assert "stopped with status 3" in done.err
    assert not is_alive(pid_of(recipe.calls, 1 - failing))
    assert not (recipe.path / "done").exists()


def test_two_workers_write_one_run(recipe):
    done = recipe.run(workers=2, training="sleep 0.$((rank * 2)); echo rank $rank")
    assert done.status == 0, done.err
    assert sorted((recipe.path / "train.log").read_text().splitlines()) == ["rank 0", "rank 1"]
    assert (recipe.path / "done").exists()
    commands = [(recipe.calls / f"rank.{rank}").read_text().split() for rank in (0, 1)]
    assert len({value(command, "--distributed-init-method") for command in commands}) == 1


def test_only_rank_0_writes_shared_files(recipe):
    torchrun = {"RANK": 1, "WORLD_SIZE": 2, "LOCAL_RANK": 1, "MASTER_ADDR": "localhost"}
    done = recipe.run(environ=torchrun, training="echo working")
    assert (done.status, done.err) == (0, "")
    failed = recipe.run(environ=torchrun, training="for i in $(seq 30); do echo line $i; done; exit 3")
    assert failed.err.splitlines()[:20] == [f"line {number}" for number in range(11, 31)]
    assert "stopped with status 3" in failed.err.splitlines()[20]
    assert not (recipe.folder / "runs").exists()
    assert recipe.run(environ=torchrun | {"RANK": 0, "LOCAL_RANK": 0}).status == 0
    assert (recipe.path / "done").exists()


# The training with the stand-in, in a process that can be sent a signal.
DRIVER = """
import signal, sys
# Tests that a shell runs in the background have these ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from fairseq_alone.recipes import fairseq_command
fairseq_command.fairseq_command = lambda tool: ["bash", sys.argv[1], tool]
from fairseq_alone.recipes.execute import execute
from fairseq_alone.recipes.train import TrainOptions, plan_training
execute([plan_training(sys.argv[2], "run", TrainOptions(cpu=True, workers="2"))])
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_stops_the_workers_and_says_how_to_go_on(recipe, number, status):
    command = [sys.executable, "-c", DRIVER, recipe.stand_in, recipe.folder]
    checkpoints = recipe.path / "checkpoints"
    training = f"touch '{checkpoints}'/checkpoint_last.pt '{checkpoints}'/checkpoint7.pt; sleep 50"
    settings = {"env": {**environment(), "CALLS": str(recipe.calls), "TRAINING": training}, "cwd": ROOT}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(list(map(str, command)), **settings, **pipes) as process:
        pids = [pid_of(recipe.calls, rank) for rank in (0, 1)]
        # A second training of the same run would overwrite the checkpoints of the first.
        assert "another fairseq-alone train is training" in recipe.refused()
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == status
    assert errors.strip() == (
        f"stopped: {checkpoints} has everything up to the end of epoch 7; the same command goes on from there."
    )
    assert not any(is_alive(pid) for pid in pids)
    assert not (recipe.path / "done").exists()
