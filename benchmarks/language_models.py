"""Training speed of LSTM language models beside a plain loop of PyTorch's nn.LSTM and nn.Linear, as ratios.

    python benchmarks/language_models.py DATA_BIN [--updates 40] [--rounds 3] [--json FILE]

DATA_BIN is a text as `fairseq-alone prepare --recipe language_model` binarises it. Every round trains each model in
turn, so a machine whose speed drifts is fair to all. Speed is the median over the updates, and over the rounds.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from plain_lstm import WARM_UP
from speed import HERE, USER_DIR, measured
from tqdm import tqdm

from fairseq_alone.cli.markdown import markdown_table
from fairseq_alone.recipes.fairseq_command import KEEP_MEMORY

PLAIN = "nn.LSTM and nn.Linear, a plain loop"
PLAIN_ROUNDED = f"{PLAIN}, products in bfloat16"
_TABLES = "--arch lstm_lm_conventional --criterion cross_entropy"
MODELS = {
    "two tables, one mask a sequence": f"{_TABLES} --tie-embeddings none",
    "two tables, the state masked, too": f"{_TABLES} --tie-embeddings none --variational-recurrent-dropout 0.1",
    "one table": f"{_TABLES} --tie-embeddings decoder",
    "one table, augmented loss": "--arch lstm_lm_conventional --tie-embeddings decoder "
    "--criterion cross_entropy_with_augmented_loss --augmented-loss-weight 0.5 --augmented-loss-temperature 10",
    "ALONE of a quarter, tied": "--arch lstm_lm_alone --alone-share 0.25 --tie-embeddings decoder "
    "--criterion cross_entropy",
    "one table, products in bfloat16": f"{_TABLES} --tie-embeddings decoder --matmul-precision medium",
    "one table, the state masked, augmented loss, products in bfloat16": "--arch lstm_lm_conventional "
    "--tie-embeddings decoder --variational-recurrent-dropout 0.1 --matmul-precision medium "
    "--criterion cross_entropy_with_augmented_loss --augmented-loss-weight 0.5 --augmented-loss-temperature 10",
}


def plain(precision: str, args: argparse.Namespace) -> float:
    """Words per second of the plain loop."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "MKL_NUM_THREADS": str(args.threads)}
    sizes = [args.units, args.layers, args.sequences, args.words, args.updates, args.dropout, precision]
    command = [sys.executable, str(HERE / "plain_lstm.py"), args.data, *map(str, sizes)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])["words_per_second"]


def ours(flags: str, args: argparse.Namespace) -> float:
    """Words per second of fairseq-train."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(args.data, "--user-dir", USER_DIR, "--task", "truncated_bptt_lm", "--cpu", "--num-workers", 0),
            *("--decoder-layers", args.layers, "--decoder-embed-dim", args.units, "--decoder-hidden-size", args.units),
            *("--variational-dropout", "--dropout", args.dropout, *flags.split()),
            *("--tokens-per-sample", args.words, "--batch-size", args.sequences, "--max-update", args.updates),
            *("--optimizer", "adam", "--lr", 0.001, "--clip-norm", 1.0, "--disable-validation", "--no-save"),
            *("--required-batch-size-multiple", 1, "--save-dir", folder, "--log-format", "json", "--log-interval", 1),
        ]
        log, _ = measured("train", command, args.threads)
    # fairseq's own words/s are rounded to the tenth and counted by each update.
    lines = [json.loads(line) for line in re.findall(r"\| train_inner \| ({.*})", log)]
    return statistics.median(float(line["wps"]) for line in lines[WARM_UP:])


def table(results: dict[str, list[float]]) -> str:
    """Medians, and ratios to the plain loop, round by round."""
    rows = [["model", "words/s", "plain loop = 1"]]
    for name, speeds in results.items():
        ratios = [one / other for one, other in zip(speeds, results[PLAIN], strict=True)]
        text = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        rows.append([name, f"{statistics.median(speeds):,.0f}", text])
    return markdown_table(rows, left_aligned=1)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", metavar="DATA_BIN", help="binarised text of a language model")
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--words", type=int, default=70, help="of one piece")
    parser.add_argument("--sequences", type=int, default=20, help="read side by side")
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures of all rounds")
    args = parser.parse_args()
    # For the plain loop as well: recipes train with it.
    os.environ.update(KEEP_MEMORY)
    results: dict[str, list[float]] = {name: [] for name in (PLAIN, PLAIN_ROUNDED, *MODELS)}
    with tqdm(total=args.rounds * len(results), unit="run", disable=None) as bar:
        for _ in range(args.rounds):
            for name, speeds in results.items():
                if name in MODELS:
                    speeds.append(ours(MODELS[name], args))
                else:
                    speeds.append(plain("highest" if name == PLAIN else "medium", args))
                bar.update()
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    print(
        f"{args.units} units, {args.sequences} x {args.words} words an update, CPU, {args.threads} of {os.cpu_count()}"
    )
    print(f"cores, Python {platform.python_version()}, torch {torch.__version__}\n\n{table(results)}")


if __name__ == "__main__":
    main()
