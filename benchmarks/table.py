"""What an ALONE embedding costs beside a table: the settings and bars of the README, with one command.

    python benchmarks/table.py DATA_BIN [--threads 2] [--rounds 3] [--json FILE]

DATA_BIN: Multi30k with a joined dictionary of about 8,000 subwords, as `fairseq-alone prepare` writes it.
Every round measures each model once, in turn; a ratio is that of one round, and its median and range over the rounds
are printed. The stock Transformer of fairseq is 1. Rows that need a GPU are left blank without one; their data is made
up.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import matrix
import speed
import torch
from tqdm import tqdm

MODELS = {
    "conventional": ["--arch", "transformer"],
    "binary": ["--arch", "transformer_alone", "--alone-filter", "binary"],
    "real": ["--arch", "transformer_alone", "--alone-filter", "real"],
}
CPU_SETTING = {"shape": "tiny", "cpu": True, "max_tokens": 2048, "length": 25}
GPU_SETTING = {"shape": "base", "cpu": False, "max_tokens": 3584, "update_freq": 16, "updates": 12, "length": 25}
# Enough sentences for every update to be full.
GPU_SENTENCES, GPU_VOCABULARY = 60_000, 32_000


def write_made_up_data(folder: Path, sentences: int = GPU_SENTENCES, vocabulary: int = GPU_VOCABULARY) -> Path:
    """Binarise sentences of random words of which all occur; return the folder for fairseq-train."""
    generator = random.Random(1)
    words = [f"w{number}" for number in range(vocabulary - 4)]
    for split, size in (("train", sentences), ("test", 500)):
        for language in ("en", "de"):
            lines = (generator.choices(words, k=generator.randint(15, 35)) for _ in range(size))
            text = "".join(" ".join(line) + "\n" for line in lines)
            if split == "train":
                text += " ".join(words) + "\n"
            (folder / f"{split}.{language}").write_text(text)
    command = [sys.executable, "-m", "fairseq_cli.preprocess", "-s", "en", "-t", "de", "--joined-dictionary"]
    command += [
        "--trainpref",
        str(folder / "train"),
        "--testpref",
        str(folder / "test"),
        "--destdir",
        str(folder / "bin"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "bin"


def measure_models(settings: argparse.Namespace, inter_dim: int, rounds: int, decode: bool, progress) -> dict:
    """Train, and decode if asked, each model in turn, ``rounds`` times."""
    results = {name: [] for name in MODELS}
    for _ in range(rounds):
        for name, flags in MODELS.items():
            size = [] if name == "conventional" else ["--alone-inter-dim", inter_dim]
            with tempfile.TemporaryDirectory() as folder:
                row = speed.measure_training([*flags, *size], settings, folder)
                if decode:
                    row.update(speed.measure_decoding(settings, folder))
            results[name].append(row)
            progress.update()
    return results


def ratios(results: dict | None, measure: str) -> list[str]:
    """For each ALONE model the median ratio to the conventional one, with its range; blank without results."""
    cells = []
    for name in list(MODELS)[1:]:
        if results is None:
            cells.append("")
            continue
        pairs = zip(results[name], results["conventional"], strict=True)
        values = [row[measure] / stock[measure] for row, stock in pairs]
        cells.append(f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})")
    return cells


def table(one: dict, eight: dict, gpu: dict | None) -> str:
    """The Markdown table of all ratios."""
    rows = [
        ("training, words/s, `--update-freq 1`", "0.80 or better", one, "train_words_per_second"),
        ("training, words/s, `--update-freq 8`", "0.95 or better", eight, "train_words_per_second"),
        ("training, peak memory, `--update-freq 1`", "", one, "train_memory_bytes"),
        ("decoding, sentences/s, beam 4", "0.98 or better", one, "decode_sentences_per_second"),
        ("one GPU: training, words/s, `--update-freq 16`", "0.95 or better", gpu, "train_words_per_second"),
        ("one GPU: training, peak memory", "1.05 or less", gpu, "train_memory_bytes"),
    ]
    lines = ["| conventional = 1 | bar | ALONE, binary | ALONE, real |", "|---|---|---|---|"]
    for title, bar, results, measure in rows:
        lines.append(f"| {title} | {bar} | " + " | ".join(ratios(results, measure)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="binarised Multi30k with a joined dictionary")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="also write all figures there")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    common = {"data": args.data, "threads": args.threads}
    with_gpu = torch.cuda.is_available()
    runs = args.rounds * len(MODELS) * (3 if with_gpu else 2)
    with tqdm(total=runs, unit="run", disable=not sys.stderr.isatty()) as progress:
        setting = argparse.Namespace(**common, **CPU_SETTING, update_freq=1, updates=40)
        one = measure_models(setting, 1024, args.rounds, True, progress)
        setting = argparse.Namespace(**common, **CPU_SETTING, update_freq=8, updates=8)
        eight = measure_models(setting, 1024, args.rounds, False, progress)
        gpu = None
        if with_gpu:
            with tempfile.TemporaryDirectory() as folder:
                setting = argparse.Namespace(**{**common, "data": write_made_up_data(Path(folder))}, **GPU_SETTING)
                gpu = measure_models(setting, 4096, args.rounds, False, progress)
    builds = matrix.measure(args.threads, args.rounds)
    device = torch.cuda.get_device_name() if with_gpu else "no GPU"
    print(f"{args.threads} threads of {os.cpu_count()} cores, {device}, Python {platform.python_version()}, ", end="")
    print(f"torch {torch.__version__}, {args.rounds} rounds")
    print(table(one, eight, gpu))
    print()
    print(matrix.tables(builds))
    if args.json:
        figures = {"update_freq_1": one, "update_freq_8": eight, "gpu": gpu, "matrix": builds}
        Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
