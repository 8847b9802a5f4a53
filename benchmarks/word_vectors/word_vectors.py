"""Skip-gram and CBOW of this package and of gensim with the same settings, in turn: words a second, and similarity.

    python benchmarks/word_vectors/word_vectors.py TRAIN.txt PAIRS_FOLDER OUT [--seeds 1 2 3] [--threads 2]

Prints a table and writes OUT/results.json after each model. What OUT has already is not trained again.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

PAIRS = {"SimLex-999": "EN-SIMLEX-999.txt", "WordSim-353": "EN-WS-353-ALL.txt", "RG-65": "EN-RG-65.txt"}
#: Architectures of this package, and their flags.
OURS = {
    "skip_gram": "--arch skip_gram",
    "cbow": "--arch cbow",
    "skip_gram_alone_quarter": "--arch skip_gram_alone --alone-filter real --alone-share 0.25",
    "skip_gram_alone_tenth": "--arch skip_gram_alone --alone-filter real --alone-share 0.1",
}
GENSIM = {"gensim skip_gram": 1, "gensim cbow": 0}
ROOT = Path(__file__).resolve().parents[2]
DIM, WINDOW, NEGATIVE, SAMPLE, MIN_COUNT, EPOCHS = 200, 5, 5, 1e-4, 5, 5


def spearman(words: list[str], vectors: np.ndarray, path: Path) -> tuple[float, int, int]:
    """Spearman's rho between cosine and human score, the pairs that have vectors, and all pairs."""
    places = {word: place for place, word in enumerate(words)}
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    ours, theirs, count = [], [], 0
    for line in path.read_text(encoding="utf-8").splitlines():
        first, second, score = line.lower().split()
        count += 1
        if first in places and second in places:
            ours.append(float(unit[places[first]] @ unit[places[second]]))
            theirs.append(float(score))
    return float(spearmanr(ours, theirs)[0]), len(ours), count


def measure(words: list[str], vectors: np.ndarray, pairs: Path) -> dict:
    """All sets of pairs."""
    return {name: spearman(words, vectors, pairs / file) for name, file in PAIRS.items()}


def train_gensim(text: Path, skip_gram: int, seed: int, threads: int) -> tuple[list[str], np.ndarray, float]:
    """Words, vectors and seconds, without the pass that counts words."""
    from gensim.models.word2vec import LineSentence, Word2Vec

    settings = {"vector_size": DIM, "window": WINDOW, "negative": NEGATIVE, "sample": SAMPLE, "min_count": MIN_COUNT}
    model = Word2Vec(sg=skip_gram, seed=seed, workers=threads, **settings)
    sentences = LineSentence(str(text))
    model.build_vocab(sentences)
    began = time.perf_counter()
    model.train(sentences, total_examples=model.corpus_count, epochs=EPOCHS)
    seconds = time.perf_counter() - began
    return model.wv.index_to_key, model.wv.vectors, seconds


def train_ours(data: Path, flags: str, seed: int, threads: int, folder: Path) -> tuple[list[str], np.ndarray, float]:
    """Words, vectors of the input embedding, and seconds, as fairseq reports them."""
    folder.mkdir(parents=True, exist_ok=True)
    lr = "0.002" if "alone" in flags else "0.05"
    command = f"fairseq-train {data} --user-dir fairseq_alone --task word_vectors {flags} --save-dir {folder}"
    command += f" --criterion negative_sampling --negative-num-samples {NEGATIVE} --window {WINDOW}"
    command += f" --decoder-embed-dim {DIM} --window-subsample {SAMPLE} --max-tokens 4096 --max-epoch {EPOCHS}"
    command += f" --optimizer adam_rows --lr {lr} --lr-scheduler linear_over_epochs --seed {seed} --cpu --num-workers 0"
    command += " --disable-validation --no-epoch-checkpoints --log-format json --log-interval 1000"
    done = subprocess.run(
        command.split(), capture_output=True, text=True, check=True, env=environment(threads), cwd=ROOT
    )
    seconds = float(re.findall(r"done training in ([0-9.]+) seconds", done.stdout + done.stderr)[-1])
    return *input_vectors(folder / "checkpoint_last.pt"), seconds


def input_vectors(checkpoint: Path) -> tuple[list[str], np.ndarray]:
    """Words and vectors of a trained model, whatever its embedding is."""
    import torch
    from fairseq import checkpoint_utils

    from fairseq_alone import plugin

    plugin.register()
    (model,), _, task = checkpoint_utils.load_model_ensemble_and_task([str(checkpoint)])
    with torch.no_grad():
        return task.source_dictionary.symbols, model.eval().decoder.embed_tokens.matrix().numpy()


def environment(threads: int) -> dict[str, str]:
    """That of a training."""
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}


def binarise(text: Path, data: Path) -> None:
    """Words that occur often enough."""
    if not (data / "train.bin").exists():
        flags = ["--trainpref", str(text), "--thresholdsrc", str(MIN_COUNT), "--destdir", str(data), "--workers", "2"]
        subprocess.run(["fairseq-preprocess", "--only-source", *flags], check=True, capture_output=True)


def main() -> None:
    """Train what is missing, model by model and seed by seed, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", nargs="+", choices=[*OURS, *GENSIM], default=[*OURS, *GENSIM])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    results_file = args.out / "results.json"
    results = json.loads(results_file.read_text()) if results_file.exists() else {}
    binarise(args.text, args.out / "data-bin")
    with open(args.text, encoding="utf-8") as file:
        corpus_words = sum(len(line.split()) for line in file)
    for seed in args.seeds:
        for name in args.models:
            if f"{name}/{seed}" in results:
                continue
            began = cpu_seconds()
            if name in GENSIM:
                words, vectors, seconds = train_gensim(args.text, GENSIM[name], seed, args.threads)
            else:
                folder = args.out / name / str(seed)
                words, vectors, seconds = train_ours(args.out / "data-bin", OURS[name], seed, args.threads, folder)
            results[f"{name}/{seed}"] = {
                "words_per_second": corpus_words * EPOCHS / seconds,
                "words_per_cpu_second": corpus_words * EPOCHS / (cpu_seconds() - began),
                "threads": args.threads,
                "rho": measure(words, vectors, args.pairs),
            }
            results_file.write_text(json.dumps(results, indent=1))
            print_table(results)


def cpu_seconds() -> float:
    """Of this process and of those that it has waited for; all of it, with imports and files."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def print_table(results: dict) -> None:
    """Means over seeds."""
    print(f"\n| model | seeds | words/s | words/CPU s | {' | '.join(PAIRS)} |\n|---|---|---|---|{'---|' * len(PAIRS)}")
    for name in dict.fromkeys(key.split("/")[0] for key in results):
        runs = [run for key, run in results.items() if key.split("/")[0] == name]
        speed = [np.mean([run[kind] for run in runs]) for kind in ("words_per_second", "words_per_cpu_second")]
        rho = [[run["rho"][pairs][0] for run in runs] for pairs in PAIRS]
        cells = [name, str(len(runs)), *(f"{value:,.0f}" for value in speed)]
        print("| " + " | ".join(cells + [f"{np.mean(r):.3f} ({min(r):.3f} to {max(r):.3f})" for r in rho]) + " |")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
