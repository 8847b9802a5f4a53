"""Small data and the real commands, shared by all tests."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command_server import CommandServer

# The tests run side by side; more threads would only wait for each other.
torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parent.parent


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


def fairseq(tool: str, *arguments, standard_input: str = "", check: bool = True) -> subprocess.CompletedProcess:
    """Run a command of fairseq from the repository root: ``train`` is ``fairseq-train``."""
    done = _SERVER.run(f"fairseq_cli.{tool}", list(map(str, arguments)), standard_input)
    return succeeded(done) if check else done


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


def write_corpus(folder: Path, seed: int = 1) -> None:
    """Sentences of made-up words; the target is the source backwards."""
    generator = random.Random(seed)
    words = [f"w{number}" for number in range(40)]
    for split, size in (("train", 200), ("valid", 21), ("test", 33)):
        sentences = [[generator.choice(words) for _ in range(generator.randint(2, 8))] for _ in range(size)]
        (folder / f"{split}.en").write_text("".join(" ".join(s) + "\n" for s in sentences))
        (folder / f"{split}.de").write_text("".join(" ".join(reversed(s)) + "\n" for s in sentences))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """A folder with ``train``, ``valid`` and ``test`` in two languages."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


def preprocess(corpus: Path, destination: Path, *flags) -> Path:
    """Binarise a corpus with fairseq-preprocess."""
    prefixes = [f"--{split}pref={corpus / split}" for split in ("train", "valid", "test")]
    fairseq("preprocess", "-s", "en", "-t", "de", *prefixes, "--destdir", destination, "--workers", 1, *flags)
    return destination


@pytest.fixture(scope="session")
def data(corpus, tmp_path_factory) -> Path:
    """Binarised data with one dictionary for both languages."""
    return preprocess(corpus, tmp_path_factory.mktemp("data") / "joined", "--joined-dictionary")


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


@pytest.fixture(scope="session")
def trained(data, tmp_path_factory) -> Path:
    """The folder of a small three-way tied ALONE model after a few epochs."""
    folder = tmp_path_factory.mktemp("trained")
    train(data, folder, "--share-all-embeddings", "--max-update", 12, "--max-epoch", 3)
    return folder
