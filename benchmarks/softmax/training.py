"""Trainings of one method: short ones for their speed, long ones for their perplexity."""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from methods import EMBEDDINGS, METHODS

HERE = Path(__file__).resolve().parent
USER_DIR = HERE.parents[1] / "fairseq_alone"
#: Updates before the speed counts.
WARM_UP = 3


@dataclass(frozen=True)
class Setting:
    """What all trainings share.

    Args:
        data: folder of fairseq-preprocess.
        size: units of the LSTM, and of the word vectors.
        words: of one sequence.
        sequences: of one update.
        valid_batches: batches of 20 sequences that perplexity is measured on.
        threads: of each training.
        cpu: use no GPU.
    """

    data: Path
    size: int
    words: int
    sequences: int
    valid_batches: int
    threads: int
    cpu: bool

    def flags(self, method: str, embedding: str) -> list[str]:
        """The flags of fairseq-train that make the model and its loss."""
        way, size = METHODS[method], str(self.size)
        # A table is not tied, as in the papers that are compared; of ALONE one network serves both, where it can.
        tied = "decoder" if embedding == "alone" and way.ties else "none"
        return [
            *(
                str(self.data),
                "--user-dir",
                str(USER_DIR),
                "--task",
                "language_modeling",
                *EMBEDDINGS[embedding].split(),
            ),
            *("--tie-embeddings", tied, "--decoder-layers", "1", "--decoder-embed-dim", size),
            *("--decoder-hidden-size", size, "--decoder-out-embed-dim", size, "--dropout", "0.1"),
            *way.flags.split(),
            *("--sample-break-mode", "none", "--tokens-per-sample", str(self.words)),
            *("--batch-size", str(self.sequences), "--batch-size-valid", "20", "--required-batch-size-multiple", "1"),
            *("--optimizer", "adam", "--clip-norm", "1.0", "--lr", "0.003", "--lr-scheduler", "inverse_sqrt"),
            *("--warmup-updates", "300", "--seed", "1", "--num-workers", "0", "--log-format", "json"),
            *("--no-epoch-checkpoints", "--max-valid-steps", str(self.valid_batches)),
            *(["--cpu"] if self.cpu else []),
        ]


def measure_speed(setting: Setting, method: str, embedding: str, updates: int) -> dict:
    """Words per second of training, bytes and trained values, and what it takes to ask for the next word."""
    with tempfile.TemporaryDirectory() as folder:
        flags = [*setting.flags(method, embedding), "--save-dir", folder, "--max-update", str(updates)]
        log = _run([*_module("train"), *flags, "--disable-validation", "--log-interval", "1"], setting.threads)
        speeds = [float(line["wps"]) for line in _lines(log, "train_inner")][WARM_UP:]
        checkpoint = Path(folder) / "checkpoint_last.pt"
        overrides = json.dumps(dict(METHODS[method].overrides))
        command = [sys.executable, str(HERE / "next_word.py"), str(checkpoint), str(setting.data), overrides]
        asked = json.loads(_run(command, setting.threads).strip().splitlines()[-1])
    return {"words_per_second": statistics.median(speeds), **asked}


def measure_perplexity(setting: Setting, method: str, embedding: str, updates: list[int], folder: Path) -> list[float]:
    """Perplexity of the validation set after so many updates each, by the whole distribution.

    The training stays in ``folder``, so an interrupted one goes on, and one that is done is only read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    perplexities = []
    for number in sorted(updates):
        log = folder / f"{number}.log"
        if not log.exists():
            flags = [*setting.flags(method, embedding), "--save-dir", str(folder), "--max-update", str(number)]
            text = _run([*_module("train"), *flags, "--log-interval", "100"], setting.threads)
            part = log.with_suffix(".part")
            part.write_text(text)
            part.rename(log)
        valid = [line for line in _lines(log.read_text(), "valid") if line["valid_num_updates"] == str(number)]
        perplexities.append(float(valid[-1]["valid_ppl"]))
    return perplexities


def _module(tool: str) -> list[str]:
    return [sys.executable, "-m", f"fairseq_cli.{tool}"]


def _lines(log: str, kind: str) -> list[dict]:
    return [json.loads(line) for line in re.findall(rf"\| {kind} \| ({{.*}})", log)]


def _run(command: list[str], threads: int) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{(done.stdout + done.stderr).strip()[-3000:]}")
    return done.stdout
