"""``--save-dir``: one training at a time, and nothing left of a training that was refused."""

import os
import subprocess
import sys

import pytest
from conftest import train

from fairseq_alone.folder_lock import LOCK_FILE
from fairseq_alone.seams.save_dir import missing_folders, remove_if_empty

HOLD = """
import sys
from fairseq_alone.folder_lock import lock_folder
lock_folder("--save-dir", sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["transformer_alone", "transformer"])
def test_a_second_training_into_one_folder_is_refused(data, tmp_path, arch):
    """Of any architecture; the folder stays as it was. Without the first it trains, and the lock is gone."""
    flags = ["--share-all-embeddings", "--max-update", 1]
    (tmp_path / LOCK_FILE).write_text("process 1 on a machine that lost power\n")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], **pipes) as first:
        assert first.stdout.readline() == "held\n"
        done = train(data, tmp_path, *flags, check=False, arch=arch)
        assert done.returncode == 1
        last = done.stderr.strip().splitlines()[-1]
        assert f"error: --save-dir {tmp_path}: another training writes to it (process {first.pid} on " in last
        assert os.listdir(tmp_path) == [LOCK_FILE]
        # Nothing is saved, so nothing can be lost.
        train(data, tmp_path, *flags, "--no-save", arch=arch)
        first.communicate()
    train(data, tmp_path, *flags, arch=arch)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint_best.pt", "checkpoint_last.pt"]


@pytest.mark.slow
def test_a_refused_training_leaves_no_folder_that_it_made(data, tmp_path):
    bad = ["--share-all-embeddings", "--alone-dropout", 2]
    assert train(data, tmp_path / "runs/one/checkpoints", *bad, check=False).returncode == 1
    assert os.listdir(tmp_path) == []
    (tmp_path / "mine").mkdir()
    assert train(data, tmp_path / "mine", *bad, check=False).returncode == 1
    assert os.listdir(tmp_path) == ["mine"]


def test_a_folder_that_cannot_be_made_is_a_sentence(data, tmp_path):
    (tmp_path / "file").write_text("")
    done = train(data, tmp_path / "file/checkpoints", check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith(f"error: --save-dir {tmp_path}/file/checkpoints: cannot be written (Not a directory)")


def test_only_what_is_empty_and_was_made_here_is_removed(tmp_path):
    made = missing_folders(str(tmp_path / "a/b/c"))
    assert made == [str(tmp_path / name) for name in ("a/b/c", "a/b", "a")]
    os.makedirs(made[0])
    (tmp_path / "a/checkpoint.pt").write_text("")
    remove_if_empty(made, os.getpid() + 1)
    assert os.path.isdir(made[0])
    remove_if_empty(made, os.getpid())
    assert os.listdir(tmp_path / "a") == ["checkpoint.pt"]
    assert missing_folders(str(tmp_path / "a")) == []
