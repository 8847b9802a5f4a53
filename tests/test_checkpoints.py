"""Reading checkpoints: what is wrong with a file is said in one sentence."""

import errno
import pickle

import pytest
import torch

from fairseq_alone import checkpoints
from fairseq_alone.errors import UserError


def test_load_checkpoint_names_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match="nowhere.pt: there is no such checkpoint"):
        checkpoints.load_checkpoint(str(tmp_path / "nowhere.pt"))
    with pytest.raises(UserError, match="is a folder, not a checkpoint"):
        checkpoints.load_checkpoint(str(tmp_path))
    # The first bytes decide which error the unpickler ends in; a dictionary file gives an IndexError.
    for text in ("hello\n", "a 12\nthe 9\n. 7\n", "", "{}\n", "e@@ 5\n"):
        (tmp_path / "text.pt").write_text(text)
        with pytest.raises(UserError, match="text.pt: not a fairseq checkpoint"):
            checkpoints.load_checkpoint(str(tmp_path / "text.pt"))


def test_every_cut_is_called_damage(tmp_path):
    torch.save({"model": {"weight": torch.zeros(300)}, "cfg": {}}, tmp_path / "whole.pt")
    whole = (tmp_path / "whole.pt").read_bytes()
    for size in range(0, len(whole), 97):
        (tmp_path / "cut.pt").write_bytes(whole[:size])
        with pytest.raises(UserError, match="cut.pt: not a fairseq checkpoint, or a damaged one"):
            checkpoints.load_checkpoint(str(tmp_path / "cut.pt"))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        KeyboardInterrupt(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 17179869184 bytes"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        UserError("a sentence of its own"),
        NameError("name 'modle' is not defined"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_says_nothing_about_the_file_passes_through(tmp_path, monkeypatch, error):
    def load(*args, **kwargs):
        raise error

    (tmp_path / "whole.pt").write_bytes(b"")
    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(type(error)) as caught:
        checkpoints.load_checkpoint(str(tmp_path / "whole.pt"))
    assert caught.value is error


def test_an_error_of_the_disk_is_not_called_damage(tmp_path, monkeypatch):
    error = OSError(errno.EIO, "Input/output error")

    def load(*args, **kwargs):
        raise error

    (tmp_path / "whole.pt").write_bytes(b"")
    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(UserError, match=r"whole.pt: cannot be read \(Input/output error\)$") as caught:
        checkpoints.load_checkpoint(str(tmp_path / "whole.pt"))
    assert caught.value.__cause__ is error


def test_damage_keeps_its_cause(tmp_path):
    (tmp_path / "text.pt").write_text("hello\n")
    with pytest.raises(UserError) as caught:
        checkpoints.load_checkpoint(str(tmp_path / "text.pt"))
    assert isinstance(caught.value.__cause__, (KeyError, pickle.UnpicklingError))
