"""Skip-gram and CBOW of this package and of gensim with the same settings, in turn: words a second, and similarity.

    python benchmarks/word_vectors/word_vectors.py TRAIN.txt PAIRS_FOLDER OUT [--seeds 1 2 3] [--threads 2]

Prints a table, and writes OUT/results.json after each model. What OUT has already is not trained again, so the command
can be interrupted. Speed is that of training alone, without the passes that count and binarise; the benchmark needs
gensim (`pip install gensim`).
"""

import argparse
import json
import logging
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tqdm import tqdm

from fairseq_alone.cli.markdown import markdown_table
from fairseq_alone.corpus.unit_vectors import UnitVectors
from fairseq_alone.corpus.vector_file import NamedVectors
from fairseq_alone.corpus.word_pairs import read_pairs, similarity
from fairseq_alone.text_files import write_json

PAIRS = {"SimLex-999": "EN-SIMLEX-999.txt", "WordSim-353": "EN-WS-353-ALL.txt", "RG-65": "EN-RG-65.txt"}
#: Architectures of this package, and their flags. ALONE's network takes a smaller learning rate than rows do.
OURS = {
    "skip_gram": "--arch skip_gram --rows-rule sgd --lr 0.05",
    "cbow": "--arch cbow --rows-rule sgd --lr 0.2",
    "skip_gram_alone_quarter": "--arch skip_gram_alone --alone-filter real --alone-share 0.25 --lr 0.002",
    "skip_gram_alone_tenth": "--arch skip_gram_alone --alone-filter real --alone-share 0.1 --lr 0.002",
}
#: gensim's: its ``sg`` and its ``alpha``, the default and twice as much, which is better.
GENSIM = {
    "gensim skip_gram": (1, 0.025),
    "gensim cbow": (0, 0.025),
    "gensim skip_gram 0.05": (1, 0.05),
    "gensim cbow 0.05": (0, 0.05),
}
USER_DIR = Path(__file__).resolve().parents[2] / "fairseq_alone"
DIM, WINDOW, NEGATIVE, SAMPLE, MIN_COUNT, EPOCHS = 200, 5, 5, 1e-4, 5, 5


def train_gensim(text: Path, skip_gram: int, alpha: float, seed: int, threads: int) -> tuple[NamedVectors, float]:
    """Vectors, and seconds."""
    from gensim.models.word2vec import LineSentence, Word2Vec

    settings = {"vector_size": DIM, "window": WINDOW, "negative": NEGATIVE, "sample": SAMPLE, "min_count": MIN_COUNT}
    model = Word2Vec(sg=skip_gram, alpha=alpha, seed=seed, workers=threads, **settings)
    sentences = LineSentence(str(text))
    model.build_vocab(sentences)
    began = time.perf_counter()
    model.train(sentences, total_examples=model.corpus_count, epochs=EPOCHS)
    seconds = time.perf_counter() - began
    return NamedVectors(model.wv.index_to_key, model.wv.vectors), seconds


def train_ours(data: Path, flags: str, seed: int, threads: int, folder: Path) -> tuple[NamedVectors, float]:
    """Vectors of the input embedding, and seconds, as fairseq reports them."""
    command = [
        *(sys.executable, "-m", "fairseq_cli.train", data, "--user-dir", USER_DIR, "--task", "word_vectors"),
        *(*flags.split(), "--criterion", "negative_sampling", "--negative-num-samples", NEGATIVE),
        *("--window", WINDOW, "--window-subsample", SAMPLE, "--decoder-embed-dim", DIM, "--max-tokens", 4096),
        *("--optimizer", "adam_rows", "--lr-scheduler", "linear_over_epochs", "--max-epoch", EPOCHS, "--seed", seed),
        *("--cpu", "--num-workers", 0, "--disable-validation", "--no-epoch-checkpoints", "--save-dir", folder),
        *("--log-format", "json", "--log-interval", 1000),
    ]
    log = _run(command, threads)
    seconds = float(re.findall(r"done training in ([0-9.]+) seconds", log)[-1])
    return input_vectors(folder / "checkpoint_last.pt"), seconds


def input_vectors(checkpoint: Path) -> NamedVectors:
    """Words and vectors of a trained model, whatever its embedding is."""
    import torch
    from fairseq import checkpoint_utils

    from fairseq_alone import plugin

    plugin.register()
    (model,), _, task = checkpoint_utils.load_model_ensemble_and_task([str(checkpoint)])
    with torch.no_grad():
        matrix = model.eval().decoder.embed_tokens.matrix().numpy()
    return NamedVectors(task.source_dictionary.symbols, matrix)


def binarise(text: Path, data: Path) -> None:
    """Words that occur often enough."""
    if not (data / "train.bin").exists():
        flags = ["--trainpref", text, "--thresholdsrc", MIN_COUNT, "--destdir", data, "--workers", 2]
        _run([sys.executable, "-m", "fairseq_cli.preprocess", "--only-source", *flags], threads=1)


def _run(command: list, threads: int) -> str:
    """What a command prints; its last lines and the end of this program where it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    words = [str(word) for word in command]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    output = done.stdout + done.stderr
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{output[-3000:]}")
    return output


def cpu_seconds() -> float:
    """Of this process and of those that it has waited for; all of it, with imports and files."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def table(results: dict) -> str:
    """Means over seeds, with the least and the greatest."""
    rows = [["model", "seeds", "words/s", "words/s of a core", *PAIRS]]
    for name in dict.fromkeys(key.split("/")[0] for key in results):
        runs = [run for key, run in results.items() if key.split("/")[0] == name]
        row = [name, str(len(runs))]
        for measure in ("words_per_second", "words_per_cpu_second"):
            row.append(f"{statistics.mean(run[measure] for run in runs):,.0f}")
        for pairs in PAIRS:
            rho = [run["rho"][pairs]["rho"] for run in runs]
            row.append(f"{statistics.mean(rho):.3f} ({min(rho):.3f} to {max(rho):.3f})")
        rows.append(row)
    return markdown_table(rows, left_aligned=1)


def main() -> None:
    """Train what is missing, seed by seed and model by model, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, metavar="TRAIN.txt", help="tokenised text, a sentence a line")
    parser.add_argument("pairs", type=Path, metavar="PAIRS_FOLDER", help=f"has {', '.join(PAIRS.values())}")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for trainings and results")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], metavar="SEED")
    parser.add_argument("--threads", type=int, default=2, help="of each training; default: 2")
    parser.add_argument("--models", nargs="+", choices=[*OURS, *GENSIM], default=[*OURS, *GENSIM], metavar="NAME")
    args = parser.parse_args()
    # gensim and its helpers tell of each step.
    logging.disable(logging.INFO)
    sets = {name: read_pairs(str(args.pairs / file), lower_case=True) for name, file in PAIRS.items()}
    args.out.mkdir(parents=True, exist_ok=True)
    kept = args.out / "results.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    binarise(args.text, args.out / "data-bin")
    with open(args.text, encoding="utf-8") as file:
        corpus_words = sum(len(line.split()) for line in file)
    wanted = [(seed, name) for seed in args.seeds for name in args.models if f"{name}/{seed}" not in results]
    for seed, name in tqdm(wanted, unit="training", disable=None):
        began = cpu_seconds()
        if name in GENSIM:
            vectors, seconds = train_gensim(args.text, *GENSIM[name], seed, args.threads)
        else:
            folder = args.out / name / str(seed)
            # An interrupted training would go on, and its time be that of the rest.
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            vectors, seconds = train_ours(args.out / "data-bin", OURS[name], seed, args.threads, folder)
        unit = UnitVectors.of(vectors)
        found = {title: similarity(unit, pairs) for title, pairs in sets.items()}
        results[f"{name}/{seed}"] = {
            "words_per_second": corpus_words * EPOCHS / seconds,
            "words_per_cpu_second": corpus_words * EPOCHS / (cpu_seconds() - began),
            "threads": args.threads,
            "rho": {title: {"rho": one.rho, "pairs": one.covered, "of": one.total} for title, one in found.items()},
        }
        write_json(str(kept), results)
    print(table(results))


if __name__ == "__main__":
    main()
