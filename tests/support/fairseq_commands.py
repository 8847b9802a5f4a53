"""The real commands, run from the repository root, and what they leave behind."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from command_server import CommandServer

from fairseq_alone.checkpoints import load_checkpoint

ROOT = Path(__file__).resolve().parents[2]


def environment() -> dict:
    """One thread a process, so that a test machine with two cores runs everything at its real speed."""
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    # A process that dies in native code says where.
    return {**os.environ, **threads, "PYTHONFAULTHANDLER": "1", "PYTHON": sys.executable}


_SERVER = CommandServer(environment(), ROOT)


def run(command) -> subprocess.CompletedProcess:
    """Run a command from the repository root; a failure fails the test."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment())
    return succeeded(done)


def python(code: str, *arguments, fairseq_imported: bool) -> subprocess.CompletedProcess:
    """``python -c CODE ARGUMENTS`` from the repository root, where PyTorch is imported already, or fairseq too."""
    return _SERVER.run("code_as_command", [code, *map(str, arguments)], stage=int(fairseq_imported))


def fairseq(tool: str, *arguments, standard_input: str = "", check: bool = True) -> subprocess.CompletedProcess:
    """Run a command of fairseq from the repository root: ``train`` is ``fairseq-train``."""
    done = _SERVER.run(f"fairseq_cli.{tool}", list(map(str, arguments)), standard_input)
    return succeeded(done) if check else done


def stock_fairseq(tool: str, *arguments, standard_input: str = "") -> subprocess.CompletedProcess:
    """Like :func:`fairseq` where this package is not installed."""
    return succeeded(_SERVER.run("without_package", [tool, *map(str, arguments)], standard_input))


def run_together(module: str, processes: list[list]) -> list[subprocess.CompletedProcess]:
    """Run ``module.cli_main()`` in several processes at once, which may wait for each other.

    Args:
        module: of fairseq, or one of this folder.
        processes: the arguments of each.
    """
    return _SERVER.run_together(module, [list(map(str, arguments)) for arguments in processes])


def train_in_two_processes(folder: Path, flags: list) -> list[subprocess.CompletedProcess]:
    """fairseq-train as two CPU processes that really join.

    Args:
        folder: where the file lies by which they find each other.
        flags: of each, but for its rank.
    """
    rendezvous = Path(tempfile.mkdtemp(dir=folder), "rendezvous")
    together = ["--distributed-backend", "gloo", "--distributed-world-size", 2, "--distributed-no-spawn"]
    together += ["--distributed-init-method", f"file://{rendezvous}", "--device-id", 0, "--ddp-backend", "legacy_ddp"]
    done = run_together("fairseq_cli.train", [[*flags, *together, "--distributed-rank", rank] for rank in (0, 1)])
    return [succeeded(one) for one in done]


def succeeded(done: subprocess.CompletedProcess) -> subprocess.CompletedProcess:
    """What was given; on failure show how the command ended, then what it printed, the last lines first.

    A death by a signal is marked as such: nothing here has native code, so the machine or a library died, and
    ``make test`` runs such a test once more and says so.
    """
    if done.returncode != 0:
        end = f"died of signal {-done.returncode}" if done.returncode < 0 else f"ended with status {done.returncode}"
        last = "\n".join(done.stderr.splitlines()[-30:])
        output = f"{last}\n--- all of it:\n{done.stdout}\n{done.stderr}"
        pytest.fail(f"{end}: {' '.join(done.args)}\n{output}", pytrace=False)
    return done


def preprocess(corpus: Path, destination: Path, *flags) -> Path:
    """Binarise a corpus with fairseq-preprocess."""
    prefixes = [f"--{split}pref={corpus / split}" for split in ("train", "valid", "test")]
    fairseq("preprocess", "-s", "en", "-t", "de", *prefixes, "--destdir", destination, "--workers", 1, *flags)
    return destination


SMALL_MODEL = (
    *("--encoder-embed-dim", 16, "--encoder-ffn-embed-dim", 16, "--encoder-layers", 1, "--encoder-attention-heads", 2),
    *("--decoder-embed-dim", 16, "--decoder-ffn-embed-dim", 16, "--decoder-layers", 1, "--decoder-attention-heads", 2),
)
SMALL_TRAINING = (
    *("--optimizer", "adam", "--lr", 0.01, "--criterion", "label_smoothed_cross_entropy", "--label-smoothing", 0.1),
    *("--max-tokens", 400, "--required-batch-size-multiple", 1, "--cpu", "--num-workers", 0, "--no-progress-bar"),
    *("--log-interval", 1, "--log-format", "json", "--dropout", 0.1),
)


def train_flags(data: Path, save_dir: Path, *flags, arch="transformer_alone", user_dir="fairseq_alone") -> list:
    """Flags of a small training."""
    size = ["--alone-inter-dim", 32] if "alone" in arch else []
    return [
        *(data, "--user-dir", user_dir, "--arch", arch, "--save-dir", save_dir),
        *(*SMALL_MODEL, *SMALL_TRAINING, *size, *flags),
    ]


def train(data: Path, save_dir: Path, *flags, check=True, **options) -> subprocess.CompletedProcess:
    """Run fairseq-train on a small model, three updates unless told otherwise."""
    if "--max-update" not in flags:
        flags += ("--max-update", 3)
    return fairseq("train", *train_flags(data, save_dir, *flags, **options), check=check)


DECODING = ("--beam", 4, "--cpu", "--required-batch-size-multiple", 1, "--num-workers", 0)


def generate(data, paths, *flags, check=True, user_dir="fairseq_alone"):
    path = ":".join(map(str, paths))
    return fairseq("generate", data, "--user-dir", user_dir, "--path", path, *DECODING, *flags, check=check)


def hypotheses(output: str) -> dict[int, str]:
    return {int(line.split("\t")[0][2:]): line.split("\t", 2)[2] for line in output.splitlines() if line[:2] == "H-"}


def train_log(output: str, name: str = "train_inner") -> list[dict]:
    """Numbers that fairseq logged, as JSON; at least one line."""
    lines = [json.loads(line) for line in re.findall(rf"\| {name} \| ({{.*}})", output)]
    assert lines, output
    return lines


def assert_same_parameters(first, second, **tolerance):
    """Two checkpoints hold the same model."""
    first, second = load_checkpoint(first)["model"], load_checkpoint(second)["model"]
    assert list(first) == list(second)
    for name in first:
        torch.testing.assert_close(
            first[name], second[name], msg=lambda text, name=name: f"{name}: {text}", **tolerance
        )


def one_sentence(done, words):
    """A refusal: an exit status, one sentence as the last line, and no traceback of it."""
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert re.search(words, last), done.stderr[-3000:]
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
