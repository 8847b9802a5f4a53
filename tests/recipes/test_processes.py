"""Commands side by side: their lines, their failures, and that nothing of them stays."""

import os
import time

import pytest

from fairseq_alone.recipes import processes
from fairseq_alone.recipes.processes import Job, run_jobs


def job(script, lines=None):
    return Job(["bash", "-c", script], (lines if lines is not None else []).append)


def wait_until_gone(pid):
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError(f"{pid} lives")


def test_lines_come_whole_and_in_order():
    lines = []
    assert run_jobs([job("printf 'a\\nb'; sleep 0.3; printf 'c\\nlast'; seq 30000 >&2", lines)]) == 0
    assert lines[:2] == ["a\n", "bc\n"]
    assert "".join(lines[2:]) == "last" + "".join(f"{number}\n" for number in range(1, 30001))


def test_bytes_that_are_no_text_are_no_trouble():
    lines = []
    assert run_jobs([job("printf '\\xff\\n'", lines)]) == 0
    assert lines == ["\ufffd\n"]


def test_variables_hold_where_the_user_has_not_set_them(monkeypatch):
    monkeypatch.setenv("BY_USER", "user")
    lines = []
    variables = {"BY_USER": "recipe", "BY_RECIPE": "recipe"}
    job = Job(["bash", "-c", "echo $BY_USER $BY_RECIPE"], lines.append, environment=variables)
    assert run_jobs([job]) == 0
    assert lines == ["user recipe\n"]


def test_the_first_failure_is_the_status_and_its_last_words_are_heard():
    lines = []
    assert run_jobs([job("exec sleep 50"), job("echo dying; exit 3", lines)]) == 3
    assert lines == ["dying\n"]
    assert run_jobs([job("kill -9 $$")]) == -9


def test_children_of_a_process_are_stopped_with_it():
    lines = []
    assert run_jobs([job("sleep 50 & echo $!; sleep 0.2; exit 2", lines)]) == 2
    wait_until_gone(int(lines[0]))
    # A child that outlives its parent in peace keeps nobody waiting, and does not stay either.
    assert run_jobs([job("sleep 50 & echo $!", lines)]) == 0
    wait_until_gone(int(lines[1]))


def test_an_error_of_the_reader_stops_the_processes():
    pids = []

    def fails(line):
        pids.append(int(line))
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        run_jobs([Job(["bash", "-c", "echo $$; exec sleep 50"], fails)])
    wait_until_gone(pids[0])


def test_what_does_not_end_by_itself_is_killed(monkeypatch):
    monkeypatch.setattr(processes, "_SECONDS_TO_END", 0.2)
    lines = []
    assert run_jobs([job("trap '' TERM; echo $$; while :; do sleep 1; done", lines), job("sleep 0.5; exit 3")]) == 3
    wait_until_gone(int(lines[0]))
