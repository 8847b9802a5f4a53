"""Figure 3 of the ALONE paper: how well ALONE rebuilds given word vectors, against the width of its network.

    python benchmarks/reconstruction/study.py VECTORS OUT --pairs FILE [FILE ...]

VECTORS: 300-dimensional ones, text or binary (.bin) of word2vec or GloVe; the first 5,000 words are rebuilt. Every
width is trained with binary and real filters, with and without training o, five times. OUT has a file for each
training, so that an interrupted study goes on where it stopped and --seeds or --inter-dim may be given more values
later; results.json, figure.png, and what is printed: the table and the paper's three findings, confirmed or refuted.
"""

import argparse
import json
import os
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from findings import findings
from picture import draw
from tqdm import tqdm

from fairseq_alone.cli.figures import save_figure
from fairseq_alone.cli.markdown import markdown_table
from fairseq_alone.compression.reconstruction import UNSAID, ReconstructionSettings, digest, rebuild
from fairseq_alone.corpus.unit_vectors import UnitVectors
from fairseq_alone.corpus.vector_file import NamedVectors
from fairseq_alone.corpus.vector_reader import read_vectors
from fairseq_alone.corpus.word_pairs import WordPairs, read_pairs, similarity
from fairseq_alone.modules.matmul_precision import PRECISIONS
from fairseq_alone.text_files import write_json

_FILTERS = ("binary", "real")


def main() -> None:
    """Train what is not done yet, and show all that is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", metavar="VECTORS")
    parser.add_argument("out", metavar="OUT", type=Path)
    parser.add_argument("--pairs", nargs="+", required=True, metavar="FILE", help="scored pairs of words")
    parser.add_argument("--inter-dim", nargs="+", type=int, default=[600, 1200, 1800, 2400], metavar="D_INTER")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5], metavar="SEED")
    parser.add_argument("--first", type=int, default=5000, metavar="N", help="words to rebuild")
    parser.add_argument("--with-pairs", action="store_true", help="rebuild the words of --pairs that come later, too")
    parser.add_argument("--epochs", type=int, default=1000, metavar="N")
    parser.add_argument(
        "--matmul-precision", choices=PRECISIONS, default="highest", help="see fairseq-alone reconstruct"
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    pairs = [read_pairs(path, lower_case=True) for path in args.pairs]
    wanted = {word for one in pairs for word in one.words} if args.with_pairs else set()
    given = read_vectors(args.vectors, lower_case=True).first(args.first, wanted)
    settings = [
        ReconstructionSettings(width, kind, fix_base, epochs=args.epochs, matmul_precision=args.matmul_precision)
        for width in args.inter_dim
        for fix_base in (False, True)
        for kind in _FILTERS
    ]
    # All settings of the first seed first: a study that is cut short has a whole picture of fewer seeds.
    jobs = [(setting, seed) for seed in args.seeds for setting in settings]
    for setting, seed in tqdm(jobs, desc="trainings", unit="training"):
        train(given, setting, seed, pairs, args.out)
    trainings = [json.loads(path.read_text("utf-8")) for path in sorted(args.out.glob("*-seed*.json"))]
    own = {"vectors": digest(given), "epochs": args.epochs, "matmul_precision": args.matmul_precision}
    trainings = [one for one in trainings if own.items() <= {**UNSAID, **one}.items()]
    found = UnitVectors.of(given)
    results = {
        "words": len(given),
        "dim": given.dim,
        "epochs": args.epochs,
        "given": {one.name: measured(found, one) for one in pairs},
        "trainings": trainings,
    }
    write_json(str(args.out / "results.json"), results)
    save_figure(draw(results), str(args.out / "figure.png"))
    print(table(results))
    print()
    print("\n".join(findings(results)))


def train(given: NamedVectors, setting: ReconstructionSettings, seed: int, pairs: list[WordPairs], out: Path) -> None:
    """Train one network, unless it is done, and write what came of it."""
    name = f"{setting.filter}-{setting.inter_dim}{'-fixed' if setting.fix_base else ''}-seed{seed}"
    file, state = out / f"{name}.json", out / f"{name}.state.pt"
    own = {**asdict(setting), "seed": seed, "vectors": digest(given), "pairs": [one.name for one in pairs]}
    if file.is_file() and own.items() <= {**UNSAID, **json.loads(file.read_text("utf-8"))}.items():
        return
    with tqdm(total=setting.epochs, desc=name, unit="epoch", leave=False) as bar:

        def show(epochs: int, loss: float) -> None:
            bar.update(epochs - bar.n)
            bar.set_postfix(loss=f"{loss:.3g}", refresh=False)

        rebuilt = rebuild(given, setting, seed, state, show)
    units = UnitVectors.of(NamedVectors(given.words, rebuilt.vectors))
    similarities = {one.name: measured(units, one) for one in pairs}
    facts = {"parameters": rebuilt.parameters, "explained": rebuilt.explained, "loss": rebuilt.losses[-1]}
    write_json(str(file), {**own, **facts, "similarity": similarities})
    os.remove(state)


def measured(units: UnitVectors, pairs: WordPairs) -> dict[str, Any]:
    """rho and the pairs that count, as JSON values."""
    found = similarity(units, pairs)
    return {"rho": found.rho, "covered": found.covered, "total": found.total}


def table(results: dict) -> str:
    """Mean and standard deviation of rho over the seeds, a line for each network."""
    names = list(results["given"])
    heads = [f"{name}, {one['covered']} of {one['total']} pairs" for name, one in results["given"].items()]
    rows = [["filter", "o", "D_inter", "seeds", "explained", *heads]]
    rhos = [f"{results['given'][name]['rho']:.3f}" for name in names]
    rows.append(["given vectors", "", "", "", "", *rhos])
    keys = sorted({(one["fix_base"], one["filter"], one["inter_dim"]) for one in results["trainings"]})
    for fix_base, kind, width in keys:
        own = [
            one
            for one in results["trainings"]
            if (one["fix_base"], one["filter"], one["inter_dim"]) == (fix_base, kind, width)
        ]
        explained = statistics.mean(one["explained"] for one in own)
        cells = [kind, "fixed" if fix_base else "trained", f"{width:,}", str(len(own)), f"{explained:.3f}"]
        for name in names:
            rhos_of_seeds = [one["similarity"][name]["rho"] for one in own]
            spread = f" ± {statistics.stdev(rhos_of_seeds):.3f}" if len(own) > 1 else ""
            cells.append(f"{statistics.mean(rhos_of_seeds):.3f}{spread}")
        rows.append(cells)
    return markdown_table(rows, 2)


if __name__ == "__main__":
    main()
