"""What ``plot`` and ``compare`` read of any training: logs of every format, checkpoints, folders with both."""

import json
import re

import pytest
import torch
from conftest import train

from fairseq_alone.cli.checkpoint_history import read_checkpoints
from fairseq_alone.cli.trained_run import find_run, read_history, run_names
from fairseq_alone.cli.training_log import read_training_log
from fairseq_alone.errors import UserError

# What fairseq-train prints with --log-format simple or tqdm; "{}" stands for what it puts before each line.
TEXT_LOG = """\
{}fairseq_cli.train | {{'_name': None, 'checkpoint': {{'best_checkpoint_metric': 'loss', 'patience': -1}}}}
{}fairseq_cli.train | num. shared model params: 591,552 (num. trained: 591,488)
{}fairseq_cli.train | num. expert model params: 0 (num. trained: 0)
{}train_inner | epoch 001:      1 / 3 loss=19.7, nll_loss=19.6, ppl=800, num_updates=1, lr=0.003, train_wall=0, wall=0
{}valid | epoch 001 | valid on 'valid' subset | loss 15.871 | nll_loss 15.691 | ppl 52897.4 | wps 0 | num_updates 3
{}fairseq.checkpoint_utils | Saved checkpoint c1.pt (epoch 1 @ 3 updates, score 15.871) (writing took 0.1 seconds)
{}train | epoch 001 | loss 13.3 | nll_loss 13.1 | ppl 8882.8 | num_updates 3 | lr 0.003 | train_wall 40 | wall 50
{}valid | epoch 002 | valid on 'valid' subset | loss 12.45 | nll_loss 12.266 | ppl 4924.81 | num_updates 6 | best_loss 1
{}train | epoch 002 | loss 14.697 | nll_loss 14.5 | ppl 24702.4 | num_updates 6 | gnorm 36 | train_wall 20 | wall 90
{}valid | epoch 003 | valid on 'valid' sub"""
STAMP = "2026-11-27 07:42:01 | INFO | "


def write_log(folder, text, name="out.log"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return str(folder / name)


@pytest.mark.parametrize("stamp", [STAMP, ""], ids=["printed", "--log-file"])
def test_a_log_in_words(stamp, tmp_path):
    text = TEXT_LOG.replace("{}", stamp)
    if not stamp:
        # The logger writes its name in front on the screen only.
        text = re.sub(r"^(valid|train|train_inner|fairseq\S+) \| ", "", text, flags=re.MULTILINE)
    history = read_training_log(write_log(tmp_path, text))
    assert [(v.epoch, v.update, v.loss, v.nll, v.ppl) for v in history.validations] == [
        (1, 3, 15.871, 15.691, 52897.4),
        (2, 6, 12.45, 12.266, 4924.81),
    ]
    assert [v.hours * 3600 for v in history.validations] == pytest.approx([40, 60])
    assert (history.updates, history.train_seconds, history.parameters) == (6, 60, 591_488)


def test_cross_entropy_is_the_loss_of_a_criterion_without_other_parts(tmp_path):
    line = "valid | epoch 001 | valid on 'valid' subset | loss 8.855 | ppl 463.02 | num_updates 10"
    (validation,) = read_training_log(write_log(tmp_path, line)).validations
    assert validation.nll == pytest.approx(8.855, abs=1e-3)


def test_of_several_validation_sets_valid_counts(tmp_path):
    line = "epoch 001 | valid on '{}' subset | loss {} | nll_loss {} | ppl 9 | num_updates 10"
    lines = [line.format("valid1", 1, 1), line.format("valid", 2, 2), line.format("valid2", 3, 3)]
    assert read_training_log(write_log(tmp_path, "\n".join(lines))).validations[0].nll == 2
    assert read_training_log(write_log(tmp_path, "\n".join(lines[::2]))).validations[0].nll == 1
    report = {"epoch": 1, "valid1_loss": "4", "valid1_nll_loss": "3", "valid1_ppl": "8", "valid1_num_updates": "10"}
    assert read_training_log(write_log(tmp_path, json.dumps(report))).validations[0].nll == 3


def test_without_reports_the_messages_about_checkpoints_tell_the_loss(tmp_path):
    silent = "\n".join(line for line in TEXT_LOG.replace("{}", STAMP).splitlines() if " | epoch 00" not in line)
    (validation,) = read_training_log(write_log(tmp_path, silent)).validations
    assert (validation.epoch, validation.update, validation.loss, validation.nll) == (1, 3, 15.871, None)
    by_bleu = silent.replace("'best_checkpoint_metric': 'loss'", "'best_checkpoint_metric': 'bleu'")
    with pytest.raises(UserError, match="without numbers.*name the --save-dir"):
        read_training_log(write_log(tmp_path, by_bleu))


def write_checkpoint(
    path, update, val_loss, sums=None, epoch=1, metric="loss", criterion="label_smoothed_cross_entropy"
):
    """A checkpoint that tells of its validation. ``sums``: last batch, sum and count of the parts of the loss."""
    meters = [
        (10, part, "AverageMeter", {"val": last, "sum": total, "count": count})
        for part, (last, total, count) in (sums or {}).items()
    ]
    state = {
        "cfg": {"checkpoint": {"best_checkpoint_metric": metric}, "criterion": {"_name": criterion}},
        "args": None,
        "model": {"decoder.embed_tokens.weight": torch.zeros(3, 2)},
        "optimizer_history": [{"num_updates": update}],
        "extra_state": {
            "train_iterator": {"epoch": epoch + 1, "iterations_in_epoch": 0},
            "val_loss": val_loss,
            "metrics": {"train": [], "valid": meters},
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return str(path)


def test_sums_of_checkpoints_tell_the_parts_of_the_loss(tmp_path):
    # Two batches each time: the last has another loss than the whole. Sums grow over the validations.
    paths = [
        write_checkpoint(tmp_path / "c1.pt", 10, 6.0, {"loss": (9.0, 60.0, 10), "nll_loss": (8.0, 50.0, 10)}),
        write_checkpoint(tmp_path / "c2.pt", 20, 4.0, {"loss": (9.0, 100.0, 20), "nll_loss": (8.0, 80.0, 20)}, 2),
    ]
    history = read_checkpoints(paths[::-1])
    assert [(v.epoch, v.update, v.loss, v.nll, v.ppl) for v in history.validations] == [
        (1, 10, 6.0, 5.0, 32.0),
        (2, 20, 4.0, 3.0, 8.0),
    ]
    assert (history.updates, history.train_seconds) == (20, None)
    # The first of the two was deleted: the sums are of two validations, so they tell nothing.
    (alone,) = read_checkpoints(paths[1:]).validations
    assert (alone.loss, alone.nll, alone.ppl) == (4.0, None, None)


@pytest.mark.parametrize(
    ("metric", "criterion", "value", "expected"),
    [
        ("loss", "cross_entropy", 3.0, (3.0, 3.0, 8.0)),
        ("nll_loss", "other", 3.0, (None, 3.0, 8.0)),
        ("ppl", "other", 8.0, (None, 3.0, 8.0)),
    ],
)
def test_the_metric_of_the_best_checkpoint(metric, criterion, value, expected, tmp_path):
    path = write_checkpoint(tmp_path / "c.pt", 10, value, metric=metric, criterion=criterion)
    ((*_, validation),) = [read_checkpoints([path]).validations]
    assert (validation.loss, validation.nll, validation.ppl) == expected


def test_a_checkpoint_without_a_loss_counts_for_the_updates(tmp_path):
    paths = [
        write_checkpoint(tmp_path / "c1.pt", 10, None),
        write_checkpoint(tmp_path / "c2.pt", 20, 30.0, metric="bleu"),
    ]
    history = read_checkpoints(paths)
    assert (history.validations, history.updates) == ([], 20)


@pytest.fixture(scope="module")
def both(data, tmp_path_factory):
    """A training's checkpoints, and what it printed."""
    folder = tmp_path_factory.mktemp("both")
    flags = ("--share-all-embeddings", "--max-epoch", 3, "--max-update", 30, "--log-format", "simple")
    done = train(data, folder / "save", *flags, "--max-tokens", 200)
    return folder / "save", write_log(folder, done.stdout + done.stderr, "printed.txt")


@pytest.mark.slow
def test_checkpoints_agree_with_the_log_of_a_real_training(both):
    save_dir, log = both
    by_log, by_checkpoints = (read_history(find_run(str(path))) for path in (log, save_dir))
    assert [v.epoch for v in by_log.validations] == [1, 2, 3]
    for first, second in zip(by_log.validations, by_checkpoints.validations, strict=True):
        assert (first.epoch, first.update) == (second.epoch, second.update)
        assert first.loss == pytest.approx(second.loss, abs=6e-4)
        assert first.nll == pytest.approx(second.nll, abs=6e-4)
        assert first.ppl == pytest.approx(second.ppl, rel=1e-3)
        assert first.nll < first.loss - 0.01  # label smoothing


def test_what_a_path_may_be(tmp_path):
    log = write_log(tmp_path / "run", TEXT_LOG.replace("{}", STAMP), "anything.txt")
    write_log(tmp_path / "run", "some notes", "notes.txt")
    for name in ("checkpoint_best.pt", "checkpoint1.pt", "checkpoint_last.pt"):
        write_checkpoint(tmp_path / "run/checkpoints" / name, 10, 3.0)
    run = find_run(str(tmp_path / "run"))
    assert run.log == log
    names = ["checkpoint_last.pt", "checkpoint_best.pt", "checkpoint1.pt"]
    assert [path.rsplit("/", 1)[1] for path in run.checkpoints] == names
    assert find_run(str(tmp_path / "run/checkpoints")).log is None
    assert find_run(run.checkpoints[0]).checkpoints == run.checkpoints[:1]
    assert (find_run(log).log, find_run(log).checkpoints) == (log, ())
    # A recipe's log has this name; other files do not count then.
    assert find_run(write_log(tmp_path / "run", "", "train.log").rsplit("/", 1)[0]).log.endswith("train.log")
    # It is empty so far, but the checkpoints tell.
    assert read_history(find_run(str(tmp_path / "run"))).updates == 10


def test_what_is_no_run_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none: there is no such file or folder$"):
        find_run(str(tmp_path / "none"))
    with pytest.raises(
        UserError, match=r"holds no training: no log .*\.log, .*no checkpoint\*\.pt, there or in checkp"
    ):
        find_run(str(tmp_path))
    for name in ("a.log", "b.out"):
        write_log(tmp_path, TEXT_LOG.replace("{}", STAMP), name)
    with pytest.raises(UserError, match=r"holds 2 logs \(a\.log, b\.out\); name the one that you mean"):
        find_run(str(tmp_path))


def test_names_are_as_short_as_they_can_be():
    assert run_names(["/x/one", "/y/two"]) == ["one", "two"]
    assert run_names(["/x/a/log", "/y/a/log", "/z"]) == ["x/a/log", "y/a/log", "z"]
    assert run_names(["/x/a", "/a"]) == ["x/a", "/a"]
    with pytest.raises(UserError, match="/x/../x is given twice"):
        run_names(["/x", "/x/../x"])
