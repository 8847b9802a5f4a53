"""``fairseq-alone reconstruct``: given word vectors rebuilt by the network of ALONE (section 3.1 of the paper)."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from fairseq_alone.cli.figures import new_figure, save_figure
from fairseq_alone.cli.vector_arguments import VECTORS_HELP
from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.files import require_folder
from fairseq_alone.folder_lock import lock_folder
from fairseq_alone.text_files import write_json

if TYPE_CHECKING:
    from fairseq_alone.compression.reconstruction import Rebuilt, ReconstructionSettings
    from fairseq_alone.corpus.vector_file import NamedVectors

# Settings whose flag has another name.
_FLAGS = {"batch": "--batch-size"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``reconstruct``."""
    parser.add_argument("vectors", metavar="VECTORS", help=f"{VECTORS_HELP}; GloVe's 300-dimensional in the paper")
    parser.add_argument(
        "--output", required=True, metavar="FOLDER", help="for vectors, loss curve and table; a second call goes on"
    )
    parser.add_argument("--first", type=int, default=5000, metavar="N", help="words to rebuild; default: 5000; 0: all")
    parser.add_argument("--pairs", nargs="+", default=[], metavar="FILE", help="scored pairs, a line 'WORD WORD SCORE'")
    parser.add_argument(
        "--with-pairs", action="store_true", help="also rebuild the words of --pairs that are not among the first N"
    )
    parser.add_argument("--lower-case", action="store_true", help="lower-case the words of all files")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5], metavar="SEED", help="1 2 3 4 5")
    group = parser.add_argument_group("the network, and its training")
    group.add_argument("--filter", choices=("binary", "real", "naive"), default="binary", help="default: binary")
    group.add_argument("--inter-dim", type=int, default=2400, metavar="D", help="D_inter; default: 2400")
    group.add_argument("--base-dim", type=int, metavar="D", help="D_o; default: the size of the vectors")
    group.add_argument("--fix-base", action="store_true", help="leave o untrained, the paper's ablation")
    group.add_argument("--num-codebooks", type=int, default=8, metavar="M", help="default: 8")
    group.add_argument("--codebook-size", type=int, default=64, metavar="C", help="default: 64")
    group.add_argument("--zero-probability", type=float, default=0.5, metavar="P", help="of binary filters; 0.5")
    group.add_argument("--filter-std", type=float, default=1.0, metavar="S", help="of real filters; default: 1")
    group.add_argument("--init", choices=("balanced", "published"), default="balanced", help="default: balanced")
    group.add_argument("--epochs", type=int, default=1000, metavar="N", help="default: 1000")
    group.add_argument("--batch-size", type=int, default=256, metavar="N", help="words of an update; default: 256")
    group.add_argument(
        "--matmul-precision",
        choices=("highest", "high", "medium"),
        default="highest",
        help="of products in an update; medium rounds factors to bfloat16: faster on a CPU that has it",
    )
    group.add_argument("--threads", type=int, metavar="N", help="of the processor; default: PyTorch's")
    parser.add_argument("--json", action="store_true", help="print results.json in place of the table")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> None:
    """Train every seed that is not done, write, and print how alike the rebuilt vectors judge words."""
    import torch

    from fairseq_alone.corpus.vector_reader import read_vectors
    from fairseq_alone.corpus.word_pairs import read_pairs

    settings = _settings(args)
    if args.with_pairs and not args.pairs:
        raise UserError("--with-pairs needs --pairs")
    if len(set(args.seeds)) < len(args.seeds):
        raise UserError("--seeds: give each seed once")
    require_folder("--output", args.output)
    if args.threads:
        torch.set_num_threads(args.threads)
    pairs = [read_pairs(path, args.lower_case) for path in args.pairs]
    wanted = {word for one in pairs for word in one.words} if args.with_pairs else set()
    given = read_vectors(args.vectors, args.lower_case, args.quiet).first(args.first, wanted)
    for seed in args.seeds:
        _refuse(lambda seed=seed: settings.build(len(given), given.dim, seed))
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    lock_folder("--output", str(folder))
    results = _results(args, settings, given)
    _keep_to_settings(folder, results)
    rebuilt = [_train(folder, settings, given, seed, args.quiet) for seed in args.seeds]
    results["seeds"] = [
        {"seed": seed, "explained": one.explained, "loss": one.losses[-1], "parameters": one.parameters}
        for seed, one in zip(args.seeds, rebuilt, strict=True)
    ]
    curves = {seed: one.losses for seed, one in zip(args.seeds, rebuilt, strict=True)}
    save_figure(_picture(curves), str(folder / "loss.png"))
    if pairs:
        results |= _similarities(given, rebuilt, args.seeds, pairs)
    write_json(str(folder / "losses.json"), curves)
    write_json(str(folder / "results.json"), results)
    print(json.dumps(results, indent=2, ensure_ascii=False) if args.json else _text(results, folder))


def _settings(args: argparse.Namespace) -> ReconstructionSettings:
    from fairseq_alone.compression.reconstruction import ReconstructionSettings

    if args.first < 0:
        raise UserError(f"--first must be at least 0, got {args.first}")
    if args.threads is not None and args.threads < 1:
        raise UserError(f"--threads must be at least 1, got {args.threads}")
    names = ("inter_dim", "filter", "fix_base", "base_dim", "num_codebooks", "codebook_size", "zero_probability")
    own = {name: getattr(args, name) for name in (*names, "filter_std", "init", "epochs", "matmul_precision")}
    found: ReconstructionSettings = _refuse(lambda: ReconstructionSettings(**own, batch=args.batch_size))
    return found


def _refuse(build: Any) -> Any:
    """Call, and turn an error about a setting into one about its flag."""
    try:
        return build()
    except SettingError as error:
        flag = _FLAGS.get(error.setting, f"--{error.setting.replace('_', '-')}").replace("--seed", "--seeds")
        raise UserError(f"{flag} {error.problem}") from error


def _results(args: argparse.Namespace, settings: ReconstructionSettings, given: NamedVectors) -> dict[str, Any]:
    from dataclasses import asdict

    from fairseq_alone.compression.reconstruction import digest

    return {
        "vectors": args.vectors,
        "digest": digest(given),
        "words": len(given),
        "dim": given.dim,
        "settings": asdict(settings),
    }


def _keep_to_settings(folder: Path, results: dict[str, Any]) -> None:
    """Write the settings into a new folder; refuse one that has others. Raises UserError."""
    from fairseq_alone.compression.reconstruction import UNSAID

    file = folder / "settings.json"
    own = {"digest": results["digest"], **results["settings"]}
    if not file.is_file():
        write_json(str(file), own)
        return
    there = {**UNSAID, **json.loads(file.read_text("utf-8"))}
    differing = [name for name in own if there.get(name) != own[name]]
    if differing:
        what = ", ".join(
            "the vectors" if name == "digest" else _FLAGS.get(name, "--" + name.replace("_", "-")) for name in differing
        )
        raise UserError(f"--output {folder}: was begun with other settings ({what}); name a new folder")


def _train(folder: Path, settings: ReconstructionSettings, given: NamedVectors, seed: int, quiet: bool) -> Rebuilt:
    """Train one seed and write its vectors. Its state stays, so that a second call need not train again."""
    from fairseq_alone.compression.reconstruction import rebuild
    from fairseq_alone.corpus.vector_file import write_vectors

    options: dict[str, Any] = {"disable": True if quiet else None, "leave": False}
    with tqdm(total=settings.epochs, desc=f"seed {seed}", unit="epoch", **options) as bar:

        def show(epochs: int, loss: float) -> None:
            bar.update(epochs - bar.n)
            bar.set_postfix(loss=f"{loss:.4g}", refresh=False)

        rebuilt = rebuild(given, settings, seed, folder / f"seed{seed}.pt", show)
    vectors = folder / f"seed{seed}.txt"
    write_vectors(str(vectors), given.words, rebuilt.vectors)
    return rebuilt


def _similarities(given: NamedVectors, rebuilt: list[Rebuilt], seeds: list[int], pairs: list) -> dict[str, Any]:
    from fairseq_alone.cli.similarity import mean_of, pairs_row
    from fairseq_alone.corpus.unit_vectors import UnitVectors
    from fairseq_alone.corpus.vector_file import NamedVectors

    def row(name: str, named: NamedVectors) -> dict[str, Any]:
        units = UnitVectors.of(named)
        return {"path": name, "pairs": [pairs_row(units, one) for one in pairs], "analogies": []}

    rows = [
        row(f"seed {seed}", NamedVectors(given.words, one.vectors)) for seed, one in zip(seeds, rebuilt, strict=True)
    ]
    found: dict[str, Any] = {"given": row("given", given), "rebuilt": rows}
    return {**found, "mean": mean_of(rows)} if len(rows) > 1 else found


def _picture(curves: dict[int, list[float]]) -> Any:
    figure, axes = new_figure(height=4)
    for seed, losses in curves.items():
        axes.plot(range(1, len(losses) + 1), losses, linewidth=1, label=f"seed {seed}")
    axes.set_yscale("log")
    axes.set_xlabel("epochs")
    axes.set_ylabel("squared distance of a word's vector, mean")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _text(results: dict[str, Any], folder: Path) -> str:
    from fairseq_alone.cli.similarity import pairs_table

    parts = [
        f"seed {one['seed']}: {100 * one['explained']:.1f} % of the variance of {results['words']:,} words, by "
        f"{one['parameters']:,} trained values in place of {results['words'] * results['dim']:,}"
        for one in results["seeds"]
    ]
    if "given" in results:
        parts += ["", pairs_table([results["given"], *results["rebuilt"]], results.get("mean"))]
    files = ", ".join(sorted(f"seed{one['seed']}.txt" for one in results["seeds"]))
    return "\n".join([*parts, "", f"{folder}{os.sep}: {files}, loss.png, losses.json, results.json"])
