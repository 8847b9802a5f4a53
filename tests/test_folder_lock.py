"""One process at a time writes to a folder."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

import pytest

from fairseq_alone import folder_lock
from fairseq_alone.errors import UserError
from fairseq_alone.folder_lock import LOCK_FILE, lock_folder, unlock_folders

HOLD = """
import os, sys, time
from fairseq_alone.folder_lock import lock_folder
lock_folder("--save-dir", sys.argv[1])
if sys.argv[2] == "with child":
    ready, tell = os.pipe()
    if os.fork() == 0:
        os.write(tell, b"it runs")  # so it has given up what it inherited
        time.sleep(60)
    os.read(ready, 1)
print(os.getpid(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hold():
    """Starts a process that holds the lock of a folder until its input ends."""
    started = []

    def start(folder, how="alone"):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "start_new_session": True}
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder), how], **pipes)
        started.append(process)
        assert int(process.stdout.readline()) == process.pid
        return process

    yield start
    for process in started:
        # The process and its child are a group of their own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture(autouse=True)
def _no_lock_left():
    yield
    unlock_folders()


def test_the_second_is_told_who_holds_it(tmp_path, hold):
    holder = hold(tmp_path)
    for _ in range(2):
        with pytest.raises(UserError) as caught:
            lock_folder("--save-dir", str(tmp_path))
        assert f"--save-dir {tmp_path}: another training writes to it" in str(caught.value)
        assert f"(process {holder.pid} on {socket.gethostname()})" in str(caught.value)


def test_the_end_of_the_holder_frees_it_and_removes_the_file(tmp_path, hold):
    holder = hold(tmp_path)
    assert os.listdir(tmp_path) == [LOCK_FILE]
    holder.communicate()
    assert os.listdir(tmp_path) == []
    lock_folder("--save-dir", str(tmp_path))


@pytest.mark.parametrize("how", ["alone", "with child"])
def test_a_killed_holder_leaves_no_stale_lock(tmp_path, hold, how):
    """Its children, which load data for example, may live on for a while."""
    holder = hold(tmp_path, how)
    holder.kill()
    holder.wait()
    assert os.listdir(tmp_path) == [LOCK_FILE]
    lock_folder("--save-dir", str(tmp_path))
    assert (tmp_path / LOCK_FILE).read_text() == f"process {os.getpid()} on {socket.gethostname()}\n"


def test_one_process_may_take_it_again(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    lock_folder("--save-dir", str(tmp_path))
    lock_folder("--save-dir", str(tmp_path / "link"))
    unlock_folders()
    assert os.listdir(tmp_path) == ["link"]


def test_a_file_removed_in_between_is_made_again(tmp_path, monkeypatch):
    """The holder before may end between our opening of the file and our lock."""
    lock = folder_lock.fcntl.flock
    calls = []

    def flock(descriptor, operation):
        if not calls:
            os.remove(tmp_path / LOCK_FILE)
        calls.append(descriptor)
        lock(descriptor, operation)

    monkeypatch.setattr(folder_lock.fcntl, "flock", flock)
    lock_folder("--save-dir", str(tmp_path))
    assert len(calls) == 2
    assert (tmp_path / LOCK_FILE).read_text().startswith(f"process {os.getpid()} on ")


def test_a_file_system_without_locks_gets_a_warning(tmp_path, monkeypatch, caplog):
    def flock(descriptor, operation):
        raise OSError(folder_lock.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(folder_lock.fcntl, "flock", flock)
    lock_folder("--save-dir", str(tmp_path))
    assert "this file system has no locks" in caplog.text
