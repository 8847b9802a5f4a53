"""Which corpus vectors train best, and why they help: perplexity after each epoch, with one command.

    python benchmarks/corpus/study.py WORK [--variants NAME ...] [--epochs 2]

WORK: a corpus of translation as `fairseq-alone prepare` leaves it. Every variant trains a table that starts from its
vectors, with `fairseq-alone train`; an interrupted study goes on where it stopped. Writes WORK/corpus-study/table.md.
"""

import argparse
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm
from variants import VARIANTS, vectors_of

from fairseq_alone.cli.markdown import markdown_table
from fairseq_alone.cli.training_log import read_training_log
from fairseq_alone.corpus.binarized import read_corpus
from fairseq_alone.corpus.vector_file import write_vectors
from fairseq_alone.text_files import write_text


def train(work: Path, name: str, epochs: int, dim: int) -> list[float]:
    """Train one variant, unless it is done. Returns the validation perplexities."""
    run, variant = f"corpus-{name}-epochs{epochs}", VARIANTS[name]
    start = "random"
    if variant.has_vectors:
        file = work / f"corpus-study/{name}.vec"
        if not file.is_file():
            corpus = read_corpus(str(work / "data-bin"))
            write_vectors(str(file), corpus.texts[0].words, vectors_of(variant, corpus, dim))
        start = str(file)
    command = [sys.executable, "-m", "fairseq_alone", "train", str(work), run, "--quiet", "--embedding", "conventional"]
    command += ["--start", start, "--max-epoch", str(epochs), *(["--", *variant.flags] if variant.flags else [])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name}: {(done.stdout + done.stderr).strip()[-2000:]}")
    return [validation.ppl for validation in read_training_log(str(work / "runs" / run / "train.log")).validations]


def main() -> None:
    """Train what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder that fairseq-alone prepare wrote, with the preset small")
    names = list(VARIANTS)
    parser.add_argument("--variants", nargs="+", choices=names, metavar="NAME", default=names)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--dim", type=int, default=128, help="D_e of the preset; default: 128")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings at a time, one thread each")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args()
    # Else fairseq tells each data set that it reads.
    logging.getLogger("fairseq").setLevel(logging.WARNING)
    (args.work / "corpus-study").mkdir(exist_ok=True)
    rows = [["variant", "what", *(f"epoch {epoch + 1}" for epoch in range(args.epochs))]]
    with ThreadPoolExecutor(args.jobs) as pool, tqdm(total=len(args.variants), disable=args.quiet) as bar:
        futures = {name: pool.submit(train, args.work, name, args.epochs, args.dim) for name in args.variants}
        for future in futures.values():
            future.add_done_callback(lambda _: bar.update())
        for name, future in futures.items():
            try:
                rows.append([name, VARIANTS[name].about, *(f"{perplexity:.1f}" for perplexity in future.result())])
            except RuntimeError as error:
                pool.shutdown(cancel_futures=True)
                sys.exit(f"study.py: error: {error}")
    text = markdown_table(rows, left_aligned=2)
    print(text)
    write_text(str(args.work / "corpus-study/table.md"), text + "\n")


if __name__ == "__main__":
    main()
