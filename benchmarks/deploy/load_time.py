"""How long a compact file takes to load and to compute its table, V = 32,000 and D_e = 512, after the imports.

    python benchmarks/deploy/load_time.py [--threads 2] [--rounds 3] [--quantization int8]

The model is `_wmt_en_de` with one embedding for all and random values: time does not depend on them. "The whole model"
is what ``open_model`` does, fairseq's model included; "the embedding alone" needs no fairseq: the file is read and
checked, and only the embedding is built. Every measurement is a process of its own; medians over the rounds. Times of
the clock need idle cores; the CPU time of one thread (`--threads 1`) is nearly the same on a busy machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import torch

WORDS = 32_000

#: The embeddings, by what the table calls them: architecture and flags.
EMBEDDINGS = {
    "ALONE, `--alone-share 0.25` (real)": ("transformer_alone_wmt_en_de", ["--alone-share=0.25"]),
    "ALONE, binary, D_inter 4096": ("transformer_alone_wmt_en_de", []),
    "table": ("transformer_conventional_wmt_en_de", []),
}


def write(path: str, name: str, quantization: str) -> None:
    """Write a model with random values."""
    from argparse import Namespace
    from pathlib import Path

    from fairseq import options
    from fairseq.data import Dictionary

    from fairseq_alone import plugin
    from fairseq_alone.export import compact_export
    from fairseq_alone.export.targets import ExportOptions
    from fairseq_alone.inference.trained_model import TrainedModel, build_task, plain_config

    plugin.register()
    words = Dictionary()
    for number in range(WORDS - words.nspecial):
        # Sorted by frequency, as the dictionaries of fairseq are.
        words.add_symbol(f"w{number}", WORDS - number)
    arch, flags = EMBEDDINGS[name]
    args = options.parse_args_and_arch(
        options.get_training_parser("translation"),
        ["data", "--task=translation", f"--arch={arch}", "-s=en", "-t=de", "--share-all-embeddings", *flags],
    )
    settings = {"_name": "translation", "source_lang": "en", "target_lang": "de"}
    task = build_task(path, settings, words, words)
    config = plain_config(args, Namespace(**settings))
    trained = TrainedModel(path, "translation", task.build_model(args).eval(), task, config, words, words)
    compact_export.write(trained, Path(path), ExportOptions(quantization))


def now() -> tuple[float, float]:
    """The clock and the CPU time of this process, in seconds."""
    return time.perf_counter(), time.process_time()


def parts(start: tuple[float, float], loaded: tuple[float, float], end: tuple[float, float]) -> dict[str, float]:
    """Seconds of loading and computing by the clock, and of both of the CPU."""
    return {"load": loaded[0] - start[0], "compute": end[0] - loaded[0], "cpu": end[1] - start[1]}


def whole_model(path: str) -> dict[str, float]:
    """Load with fairseq, then compute the table."""
    from fairseq_alone import plugin
    from fairseq_alone.inference.compact_source import read_compact

    plugin.register()
    start = now()
    model = read_compact(path).model
    loaded = now()
    with torch.no_grad():
        model.decoder.output_projection.weight.sum()
    return parts(start, loaded, now())


def embedding_alone(path: str) -> dict[str, float]:
    """Load what the embedding needs, then compute the table; without fairseq."""
    from fairseq_alone.modules import build_embedding
    from fairseq_alone.modules.compact_file import read_compact_file

    start = now()
    contents = read_compact_file(path)
    place, description = next(iter(json.loads(contents.metadata["embeddings"]).items()))
    embedding = build_embedding(**description)
    prefix = f"{place}."
    tensors = {
        name.removeprefix(prefix): value for name, value in contents.state_dict.items() if name.startswith(prefix)
    }
    embedding.load_state_dict(tensors)
    loaded = now()
    with torch.no_grad():
        embedding.matrix().sum()
    assert "fairseq" not in sys.modules
    return parts(start, loaded, now())


MEASUREMENTS = {"the whole model": whole_model, "the embedding alone": embedding_alone}


def measured(threads: int, *arguments: str) -> dict[str, float]:
    """Run this file for one measurement in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    command = [sys.executable, os.path.abspath(__file__), "--child", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}\nthe measurement failed, see above")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Print the table, or, for a child, one measurement."""
    if sys.argv[1:2] == ["--child"]:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        what, path, *rest = sys.argv[2:]
        print(json.dumps(MEASUREMENTS[what](path) if what in MEASUREMENTS else write(path, *rest)))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quantization", default="int8")
    args = parser.parse_args()
    from fairseq_alone.modules.compact_file import compact_bytes

    print("| embedding | its MB | what | load | compute the table | both | CPU |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in EMBEDDINGS:
            path = os.path.join(folder, "model.safetensors")
            measured(args.threads, "write", path, name, args.quantization)
            for what in MEASUREMENTS:
                rounds = [measured(args.threads, what, path) for _ in range(args.rounds)]
                load, compute, cpu = (statistics.median(row[part] for row in rounds) for part in rounds[0])
                size = compact_bytes(path)["embedding"] / 1e6
                times = " | ".join(f"{seconds:.2f} s" for seconds in (load, compute, load + compute, cpu))
                print(f"| {name} | {size:.2f} | {what} | {times} |", flush=True)


if __name__ == "__main__":
    main()
