"""How far a training is, from lines that fairseq printed."""

import io

import pytest

from fairseq_alone.recipes import display
from fairseq_alone.recipes.display import Display
from fairseq_alone.recipes.progress import Progress, duration

STAMP = "2026-11-27 07:39:41 | INFO | "
# As fairseq-train --log-format json printed them, in the order of the log; shortened.
LINES = [
    STAMP + "fairseq.trainer | begin training epoch 1\n",
    STAMP + 'train_inner | {"epoch": 1, "update": 0.476, "loss": "9.734", "ppl": "804.27", "wps": "14935", '
    '"num_updates": "50", "lr": "0.0005", "train_wall": "1", "wall": "2"}\n',
    STAMP + 'train_inner | {"epoch": 1, "update": 0.952, "loss": "8.257", "ppl": "255.15", "wps": "15048", '
    '"num_updates": "100", "lr": "0.001", "train_wall": "1", "wall": "4"}\n',
    STAMP + 'valid | {"epoch": 1, "valid_loss": "7.524", "valid_ppl": "139.77", "valid_wps": "45182.7", '
    '"valid_num_updates": "105"}\n',
    STAMP + 'train | {"epoch": 1, "train_loss": "8.922", "train_ppl": "427.23", "train_wps": "14598.7", '
    '"train_num_updates": "105", "train_train_wall": "3", "train_wall": "5"}\n',
    STAMP + 'train_inner | {"epoch": 2, "update": 1.429, "loss": "7.359", "wps": "13655.2", "num_updates": "150", '
    '"train_wall": "2", "wall": "7"}\n',
]


def test_every_report_moves_the_line():
    progress = Progress("run", max_epoch=30, max_update=0)
    assert progress.text() == "run: starting"
    texts = []
    validated = []
    for line in LINES:
        validated.append(progress.read(line))
        texts.append(progress.text())
    assert validated == [False, False, False, True, False, False]
    assert texts[0] == "run: starting"
    assert texts[1] == "run: epoch 1 of 30, 2 min left, 14,935 words/s, 50 updates"
    # 0.952 epochs in 4 seconds: 29.05 more take 122.
    assert texts[2] == "run: epoch 1 of 30, 2 min left, 15,048 words/s, 100 updates"
    assert texts[3] == "run: epoch 1 of 30, 2 min left, valid ppl 139.8, 15,048 words/s, 105 updates"
    assert texts[5] == "run: epoch 2 of 30, 2 min left, valid ppl 139.8, 13,655 words/s, 150 updates"


def test_a_limit_on_updates_may_come_first():
    progress = Progress("run", max_epoch=0, max_update=200)
    for line in LINES:
        progress.read(line)
    # 150 updates in 7 seconds: 50 more take 2.3.
    assert progress.text() == "run: epoch 2, 2 s left, valid ppl 139.8, 13,655 words/s, 150 of 200 updates"
    both = Progress("run", max_epoch=30, max_update=160)
    for line in LINES:
        both.read(line)
    assert ", 0 s left," in both.text()


def test_a_resumed_training_begins_in_the_middle():
    progress = Progress("run", max_epoch=2, max_update=0)
    for line in LINES[4:]:
        progress.read(line)
    # From 1 to 1.429 epochs in 2 seconds.
    assert ", 3 s left," in progress.text()


def test_after_the_last_epoch_nothing_is_left():
    """Its validation is reported before its training."""
    progress = Progress("run", max_epoch=2, max_update=0)
    for line in LINES:
        progress.read(line)
    progress.read(LINES[3].replace('"epoch": 1', '"epoch": 2').replace('"105"', '"210"'))
    assert progress.text().startswith("run: epoch 2 of 2, 0 s left,")


def test_without_validation_each_epoch_is_told():
    progress = Progress("run", max_epoch=2, max_update=0)
    assert progress.read(LINES[4])
    assert not progress.read(LINES[5])


def test_other_lines_change_nothing():
    progress = Progress("run", 3, 0)
    for line in ("", "{'a': 1}", '{"epoch": 1, "update": 0.5', '| train | {"epoch": null}', "x | {}"):
        assert not progress.read(line)
    assert progress.text() == "run: starting"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (99, "99 s"), (130, "2 min"), (5900, "98 min"), (6600, "1 h 50 min"), (200000, "2 d 7 h")],
)
def test_durations_are_read_at_a_glance(seconds, text):
    assert duration(seconds) == text


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_change_in_place_in_a_terminal(monkeypatch):
    monkeypatch.setattr(display.shutil, "get_terminal_size", lambda: display.shutil.os.terminal_size((40, 20)))
    stream = Terminal()
    trainings = [Progress("one", 30, 0), Progress("two", 30, 0)]
    shown = Display(trainings, stream)
    shown.changed(trainings[0], trainings[0].read(LINES[1]))
    assert stream.getvalue() == "\r\x1b[Kone: epoch 1 of 30, 2 min left, 14,935 \n\r\x1b[Ktwo: starting\n"
    stream.truncate(0)
    stream.seek(0)
    shown.changed(trainings[0], trainings[0].read("nothing new"))
    assert stream.getvalue() == ""
    shown.changed(trainings[1], trainings[1].read(LINES[1]))
    assert stream.getvalue().startswith("\x1b[2A\r\x1b[Kone: epoch 1")


def test_a_log_gets_a_line_for_each_epoch_and_one_now_and_then(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    progress = Progress("run", 30, 0)
    shown = Display([progress], stream)
    for line in LINES:
        shown.changed(progress, progress.read(line))
    assert [line[:13] for line in stream.getvalue().splitlines()] == ["run: epoch 1 "]
    clock[0] = 301.0
    shown.changed(progress, progress.read(LINES[5]))
    shown.changed(progress, progress.read(LINES[5]))
    assert [line[:13] for line in stream.getvalue().splitlines()] == ["run: epoch 1 ", "run: epoch 2 "]
