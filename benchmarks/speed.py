"""Speed, memory and size of computed embeddings against fairseq's stock Transformer, as ratios within one run.

    python benchmarks/speed.py DATA_BIN [--updates 40] [--rounds 3] [--inter-dim 1024 2048] [--json FILE]

DATA_BIN is a folder of fairseq-preprocess with a joined dictionary, for example that of `fairseq-alone prepare`.
Every round trains and decodes each model in turn, so a machine whose speed drifts is fair to all. Training speed is
fairseq's words per second after the first updates. Decoding uses the checkpoint of that training, which is far from
trained; so that all models do the same work, every hypothesis is forced to the same length. Medians over the rounds.

Three rounds of four models with 20 updates took 8 minutes on one core (AMD EPYC) with Multi30k.
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
from tqdm import tqdm

HERE = Path(__file__).resolve().parent
USER_DIR = HERE.parent / "fairseq_alone"
TINY = [
    flag
    for side in ("encoder", "decoder")
    for flag in (
        *(f"--{side}-embed-dim=128", f"--{side}-ffn-embed-dim=256"),
        *(f"--{side}-layers=4", f"--{side}-attention-heads=4"),
    )
]
SHAPES = {"tiny": TINY, "base": []}
MEASURES = {
    "train_words_per_second": "training, words/s",
    "decode_sentences_per_second": "decoding, sentences/s",
    "train_memory_bytes": "training, peak memory",
    "decode_memory_bytes": "decoding, peak memory",
    "checkpoint_bytes": "checkpoint",
}


def measured(tool: str, flags: list, threads: int) -> tuple[str, dict]:
    """Run a fairseq command; return what it printed, and its peak memory."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    command = [sys.executable, str(HERE / "measured_fairseq.py"), tool, *map(str, flags)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}\nfairseq-{tool} failed, see above")
    return done.stdout + done.stderr, json.loads(done.stdout.strip().splitlines()[-1])


def measure_training(model_flags: list, args: argparse.Namespace, folder: str) -> dict:
    """Train one model once; its checkpoint stays in ``folder``."""
    training = [
        *("--optimizer", "adam", "--lr", 1e-3, "--criterion", "label_smoothed_cross_entropy"),
        *("--label-smoothing", 0.1, "--max-tokens", args.max_tokens, "--update-freq", args.update_freq),
        *("--max-update", args.updates, "--log-format", "json", "--log-interval", max(1, 5 // args.update_freq)),
        *("--dropout", 0.2, "--share-all-embeddings", "--disable-validation", "--save-dir", folder),
        "--no-epoch-checkpoints",
    ]
    log, memory = measured("train", [*common_flags(args), *training, *SHAPES[args.shape], *model_flags], args.threads)
    speeds = [float(json.loads(line)["wps"]) for line in re.findall(r"\| train_inner \| ({.*})", log)]
    return {
        # The first lines hold fairseq's warm-up.
        "train_words_per_second": statistics.median(speeds[2:]),
        "train_memory_bytes": memory["host_bytes" if args.cpu else "gpu_bytes"],
        "checkpoint_bytes": (Path(folder) / "checkpoint_last.pt").stat().st_size,
    }


def measure_decoding(args: argparse.Namespace, folder: str) -> dict:
    """Decode once with the checkpoint that :func:`measure_training` left in ``folder``."""
    length = ["--min-len", args.length, "--max-len-a", 0, "--max-len-b", args.length]
    decoding = ["--path", Path(folder) / "checkpoint_last.pt", "--beam", 4, "--batch-size", 50, *length]
    output, memory = measured("generate", [*common_flags(args), *decoding, "--gen-subset", "test"], args.threads)
    return {
        "decode_sentences_per_second": float(re.search(r"\(([\d.]+) sentences/s", output).group(1)),
        "decode_memory_bytes": memory["host_bytes" if args.cpu else "gpu_bytes"],
    }


def common_flags(args: argparse.Namespace) -> list:
    """Flags of training and decoding."""
    device = ["--cpu"] if args.cpu else ["--fp16"]
    return [args.data, "--user-dir", USER_DIR, "--required-batch-size-multiple", 1, "--num-workers", 0, *device]


def table(results: dict[str, list[dict]]) -> str:
    """A Markdown table: the stock Transformer's figures, then ratios to it, round by round, and their median."""
    baseline = results["conventional"]
    lines = [
        "| | " + " | ".join(results) + " |",
        "|---|" + "---|" * len(results),
    ]
    for measure_name, title in MEASURES.items():
        median = statistics.median(row[measure_name] for row in baseline)
        figure = f"{median / 2**20:,.0f} MiB" if measure_name.endswith("bytes") else f"{median:,.0f}"
        cells = [figure]
        for rows in list(results.values())[1:]:
            pairs = zip(rows, baseline, strict=True)
            ratios = [row[measure_name] / stock[measure_name] for row, stock in pairs]
            cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def augmented_loss_table(results: dict[str, list[dict]]) -> str:
    """For each embedding the words/s of training with the augmented loss, as a ratio to those without it."""
    lines = ["", "| words/s with the augmented loss, without it = 1 | |", "|---|---|"]
    for name, rows in results.items():
        if f"{name}, augmented loss" in results:
            pairs = zip(results[f"{name}, augmented loss"], rows, strict=True)
            ratios = [row["train_words_per_second"] / plain["train_words_per_second"] for row, plain in pairs]
            lines.append(f"| {name} | {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |")
    return "\n".join(lines)


def main() -> None:
    """Measure all models and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="binarised data with a joined dictionary")
    parser.add_argument("--shape", choices=SHAPES, default="tiny", help="the Transformer around the embedding")
    parser.add_argument("--inter-dim", type=int, nargs="+", default=[1024, 2048], help="D_inter of ALONE, one or more")
    parser.add_argument("--filter", choices=["binary", "real"], nargs="*", default=["binary"], help="those of ALONE")
    parser.add_argument("--share", type=float, nargs="+", default=[], help="also ALONE with --alone-share, one or more")
    parser.add_argument("--codes", type=float, nargs="+", default=[], help="also codes with --codes-share, one or more")
    parser.add_argument("--augmented-loss", action="store_true", help="train every model with the augmented loss, too")
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-tokens", type=int, default=2048)
    parser.add_argument("--update-freq", type=int, default=1)
    parser.add_argument("--length", type=int, default=25, help="forced length of every hypothesis, in subwords")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--cpu", action="store_true", default=not torch.cuda.is_available())
    parser.add_argument("--json", metavar="FILE", help="also write all figures there")
    args = parser.parse_args()
    if args.updates < 20 or args.rounds < 1:
        parser.error("--updates must be at least 20 and --rounds at least 1")

    models = {"conventional": ["--arch", "transformer"]}
    for kind in args.filter:
        for size in args.inter_dim:
            flags = ["--arch", "transformer_alone", "--alone-filter", kind, "--alone-inter-dim", size]
            models[f"ALONE {kind}, D_inter {size}"] = flags
    models |= {f"ALONE, share {share}": ["--arch", "transformer_alone", "--alone-share", share] for share in args.share}
    models |= {f"codes, share {share}": ["--arch", "transformer_codes", "--codes-share", share] for share in args.codes}
    if args.augmented_loss:
        criterion = ["--criterion", "label_smoothed_cross_entropy_with_augmented_loss"]
        models |= {f"{name}, augmented loss": [*flags, *criterion] for name, flags in models.items()}
    results = {name: [] for name in models}
    with tqdm(total=args.rounds * len(models), unit="run", disable=not sys.stderr.isatty()) as progress:
        for _ in range(args.rounds):
            for name, flags in models.items():
                with tempfile.TemporaryDirectory() as folder:
                    trained = measure_training(flags, args, folder)
                    results[name].append({**trained, **measure_decoding(args, folder)})
                progress.update()
    device = "CPU" if args.cpu else torch.cuda.get_device_name()
    setting = {
        "device": device,
        "cores": os.cpu_count(),
        "threads": args.threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{name: getattr(args, name) for name in ("shape", "updates", "rounds", "max_tokens", "update_freq", "length")},
    }
    print(", ".join(f"{name} {value}" for name, value in setting.items()))
    print(table(results))
    if args.augmented_loss:
        print(augmented_loss_table(results))
    if args.json:
        Path(args.json).write_text(json.dumps({"setting": setting, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
