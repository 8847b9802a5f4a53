"""Time and memory of loading an ALONE Transformer and building its matrix, and how they grow with the vocabulary.

    python benchmarks/matrix.py [--threads 2] [--rounds 3] [--json FILE]

The first table is for `_wmt_en_de` with V = 32,000 and D_inter 8192: the model is built, its checkpoint loaded, the
matrix computed for evaluation. The second is for an embedding alone, D_o = D_e = 128 and D_inter 1024, with V from
8,000 to 256,000. Every measurement is a process of its own, after its imports; medians over the rounds. The peak memory
of a build is that beyond what the process held before; Linux only.
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
from tqdm import tqdm

VOCABULARIES = (8_000, 16_000, 32_000, 64_000, 128_000, 256_000)


def memory(field: str) -> int:
    """Bytes of this process: ``VmRSS`` now, ``VmHWM`` at its peak since the last :func:`reset_peak`."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(f"{field}:"))


def reset_peak() -> None:
    """Let ``VmHWM`` start again from what is in use."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def build_matrix(embedding) -> dict:
    """Compute the matrix as decoding does; time and memory."""
    reset_peak()
    before, start = memory("VmRSS"), time.perf_counter()
    with torch.no_grad():
        matrix = embedding.eval().matrix()
    seconds = time.perf_counter() - start
    size = matrix.numel() * matrix.element_size()
    return {"build_seconds": seconds, "peak_bytes": memory("VmHWM") - before, "matrix_bytes": size}


def whole_model(vocabulary: int, checkpoint: str) -> dict:
    """Build a model, load its checkpoint, compute its matrix. Without a checkpoint yet, write one."""
    from fairseq import options
    from fairseq.data import Dictionary
    from fairseq.models import ARCH_MODEL_REGISTRY

    import fairseq_alone.models  # noqa: F401 (registers the architectures)

    words = Dictionary()
    for number in range(vocabulary - words.nspecial):
        words.add_symbol(f"w{number}")
    task = argparse.Namespace(source_dictionary=words, target_dictionary=words)
    arch = "transformer_alone_wmt_en_de"
    flags = ["data", "--arch", arch, "--share-all-embeddings", "--alone-inter-dim", "8192"]
    args = options.parse_args_and_arch(options.get_training_parser(), flags)
    start = time.perf_counter()
    model = ARCH_MODEL_REGISTRY[arch].build_model(args, task)
    if not os.path.exists(checkpoint):
        torch.save(model.state_dict(), checkpoint)
    model.load_state_dict(torch.load(checkpoint, weights_only=True))
    seconds = time.perf_counter() - start
    return {"load_seconds": seconds, **build_matrix(model.decoder.embed_tokens)}


def embedding_alone(vocabulary: int) -> dict:
    """Compute the matrix of an embedding without a model."""
    from fairseq_alone.modules import AloneEmbedding, FilterSettings

    start = time.perf_counter()
    embedding = AloneEmbedding(FilterSettings(vocabulary, 128), 128, 1, inter_dim=1024)
    return {"load_seconds": time.perf_counter() - start, **build_matrix(embedding)}


def measured(threads: int, *arguments) -> dict:
    """Run this file for one measurement in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    command = [sys.executable, os.path.abspath(__file__), "--child", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}\nthe measurement failed, see above")
    return json.loads(done.stdout.strip().splitlines()[-1])


def median(rows: list[dict]) -> dict:
    """The median of each figure."""
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def measure(threads: int, rounds: int) -> dict:
    """All figures: ``model`` for the whole model, and for each vocabulary size."""
    with (
        tempfile.TemporaryDirectory() as folder,
        tqdm(total=rounds * (1 + len(VOCABULARIES)) + 1, unit="run", disable=not sys.stderr.isatty()) as progress,
    ):
        checkpoint = os.path.join(folder, "checkpoint.pt")
        measured(threads, 32_000, checkpoint)
        progress.update()
        rows = {"model": [], **{vocabulary: [] for vocabulary in VOCABULARIES}}
        for _ in range(rounds):
            for name, measurements in rows.items():
                arguments = (32_000, checkpoint) if name == "model" else (name,)
                measurements.append(measured(threads, *arguments))
                progress.update()
    return {name: median(measurements) for name, measurements in rows.items()}


def tables(figures: dict) -> str:
    """Two Markdown tables."""
    model = figures["model"]
    seconds = model["load_seconds"] + model["build_seconds"]
    lines = [
        "| V = 32,000, `_wmt_en_de`, D_inter 8192 | |",
        "|---|---|",
        f"| build the model, load its checkpoint | {model['load_seconds']:.1f} s |",
        f"| compute the matrix | {model['build_seconds']:.1f} s |",
        f"| both | {seconds:.1f} s |",
        "| peak memory of computing it, beyond the loaded model, matrix = 1 "
        f"| {model['peak_bytes'] / model['matrix_bytes']:.2f} |",
        "",
        "| V | build the embedding | compute the matrix | for each word | peak memory beyond the matrix |",
        "|---|---|---|---|---|",
    ]
    for vocabulary in VOCABULARIES:
        row = figures[vocabulary]
        beyond = (row["peak_bytes"] - row["matrix_bytes"]) / 2**20
        lines.append(
            f"| {vocabulary:,} | {row['load_seconds']:.2f} s | {row['build_seconds']:.2f} s | "
            f"{row['build_seconds'] / vocabulary * 1e6:.1f} us | {beyond:.0f} MiB |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print the tables, or, for a child, one measurement."""
    if sys.argv[1:2] == ["--child"]:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        vocabulary, *checkpoint = sys.argv[2:]
        result = whole_model(int(vocabulary), checkpoint[0]) if checkpoint else embedding_alone(int(vocabulary))
        print(json.dumps(result))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="also write all figures there")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    figures = measure(args.threads, args.rounds)
    print(f"threads {args.threads}, torch {torch.__version__}")
    print(tables(figures))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
