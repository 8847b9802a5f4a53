"""fairseq's own errors about mistakes of a user, and what the commands print in their place."""

import sys

import pytest
import torch
from hydra.core.utils import JobReturn, JobStatus

from fairseq_alone.errors import UserError
from fairseq_alone.fairseq_mistakes import sentence_of
from fairseq_alone.seams.user_errors import install, mistake


def missing(path):
    return FileNotFoundError(2, "No such file or directory", str(path))


def test_missing_files(tmp_path, monkeypatch):
    assert sentence_of(missing(tmp_path / "none/dict.en.txt")).startswith(
        f"{tmp_path}/none: there is no such data folder"
    )
    assert sentence_of(missing(tmp_path / "dict.txt")).startswith(f"{tmp_path}/dict.txt: there is no such dictionary")
    monkeypatch.setattr(sys, "argv", ["fairseq-train", str(tmp_path / "none")])
    assert sentence_of(missing(tmp_path / "none")) == f"{tmp_path}/none: there is no such file or folder"
    # Not the user's, as far as we know.
    assert sentence_of(missing("/proc/somewhere/else")) is None


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (FileNotFoundError("Dataset not found: valid (/data)"), "/data: holds no set 'valid' for this task"),
        (Exception("Could not infer language pair, please provide it explicitly"), "the data folder does not tell"),
        (
            Exception("Size of sample #5 is invalid (=(11, 9)) since max_positions=(8, 8), skip this example with ..."),
            "sample 5 has (11, 9) tokens, but the model and the task allow (8, 8): raise",
        ),
        (Exception("The dataset is empty. This could indicate"), "no sample is left"),
        (OSError("Model file not found: a.pt"), "a.pt: there is no such checkpoint"),
        (
            AssertionError("Must specify batch size either with --max-tokens or --batch-size"),
            "give the size of a batch",
        ),
        (AssertionError("--path required for generation!"), "--path required for generation!"),
        (ValueError("optimizer is required!"), "give --optimizer"),
        (ValueError("--finetune-from-model a.pt does not exist"), "--finetune-from-model a.pt does not exist"),
    ],
)
def test_known_mistakes(error, sentence):
    assert sentence_of(error).startswith(sentence)


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError("model"), RuntimeError("--x"), AssertionError(), OSError(5, "y")]
)
def test_anything_else_keeps_its_traceback(error):
    assert sentence_of(error) is None


def _fail(rank):
    raise UserError("--alone-seed must be at least 0")


def test_the_sentence_of_a_process_of_several():
    """fairseq spawns its processes; a fork hands the error on in the same way, and need not import anything."""
    with pytest.raises(torch.multiprocessing.ProcessRaisedException) as caught:
        torch.multiprocessing.start_processes(_fail, nprocs=1, start_method="fork")
    assert mistake(caught.value) == "--alone-seed must be at least 0"


@pytest.fixture
def hooked(monkeypatch):
    """The seam, installed for one test."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(JobReturn, "return_value", JobReturn.return_value)
    monkeypatch.setattr(sys, "argv", ["/bin/fairseq-hydra-train"])
    install()


def test_hydra_ends_with_the_sentence(hooked):
    """Else it prints a traceback, and a hint to its own settings behind that."""
    failed = JobReturn(status=JobStatus.FAILED)
    failed.return_value = UserError("--alone-seed must be at least 0")
    with pytest.raises(SystemExit) as caught:
        _ = failed.return_value
    assert caught.value.code == "fairseq-hydra-train: error: --alone-seed must be at least 0"
    failed.return_value = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        _ = failed.return_value
    done = JobReturn(status=JobStatus.COMPLETED)
    done.return_value = 2.5
    assert done.return_value == 2.5


def test_commands_end_with_the_sentence(hooked, capsys):
    error = ValueError("optimizer is required!")
    sys.excepthook(type(error), error, None)
    assert capsys.readouterr().err.startswith("fairseq-hydra-train: error: give --optimizer")
    error = ValueError("a bug")
    sys.excepthook(type(error), error, None)
    assert "ValueError: a bug" in capsys.readouterr().err
