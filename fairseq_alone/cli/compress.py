"""``fairseq-alone compress``: a trained model with a smaller embedding, trained for a while to say the same."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from fairseq_alone.cli.markdown import markdown_table
from fairseq_alone.cli.recipe_arguments import add_cpu, take_flags_after_dashes
from fairseq_alone.errors import UserError
from fairseq_alone.recipes.values import positive, whole

_EPILOG = """\
The embedding is fitted to the trained one, all other tensors are taken over; then fairseq-train trains all of it with
the trained model as its teacher. An interrupted command goes on when it is given again. docs/compress.md says more.
"""

_COMPACT_NOTE = "in {} bits: without the dictionary and the settings of the file, which are about 0.1 MB"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``compress``."""
    parser.usage = (
        "fairseq-alone compress MODEL DATA --family NAME --share S --output OUT [flags] [-- FLAGS_OF_FAIRSEQ_TRAIN]"
    )
    parser.epilog = _EPILOG
    parser.add_argument(
        "model", metavar="MODEL", help="a run (WORK/runs/RUN), a bundle, a compact file or a checkpoint"
    )
    parser.add_argument("data", metavar="DATA", help="folder of the binarised data that it is trained on once more")
    parser.add_argument(
        "--family",
        metavar="NAME",
        required=True,
        help="of the new embedding: conventional (share 1), factorized, alone, codes, tensor_product or differentiated",
    )
    parser.add_argument(
        "--share", metavar="S", type=float, required=True, help="size of the new embedding, the table's = 1"
    )
    parser.add_argument(
        "--output",
        metavar="OUT",
        required=True,
        help="folder for the model and its training; of a file .pt or .safetensors, the folder lies beside it",
    )
    parser.add_argument(
        "--bits",
        type=int,
        choices=(32, 8, 4),
        help="write a compact file, too: all in 32 or 8 bits, or the embedding in 4 and the rest in 8",
    )
    parser.add_argument("--updates", metavar="N", help="of the fine-tuning; in place of --epochs")
    parser.add_argument("--epochs", metavar="E", help="of the fine-tuning; default: 2")
    parser.add_argument("--lr", type=float, metavar="X", help="its largest learning rate; default: by the teacher's")
    parser.add_argument(
        "--distillation-weight", type=float, metavar="W", default=0.5, help="of the teacher, 0 to 1; default: 0.5"
    )
    parser.add_argument(
        "--distillation-temperature", type=float, metavar="T", default=1.0, help="of the teacher's distribution; 1"
    )
    parser.add_argument(
        "--effective-tokens", metavar="N", help="of one update, all workers together; default: the teacher's"
    )
    parser.add_argument("--max-tokens", metavar="N", help="the most that fit on one worker at a time")
    parser.add_argument("--seed", metavar="N", default="1", help="of dropout and the order of batches; default: 1")
    parser.add_argument("--workers", metavar="N", help="processes on this machine; default: its GPUs, or 1")
    add_cpu(parser)
    parser.add_argument("--score", action="store_true", help="BLEU of the test set, too; MODEL is a run of a recipe")
    parser.add_argument("--json", action="store_true", help="print what was measured as JSON")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--verbose", action="store_true", help="also show fairseq's own output")
    shown.add_argument("--quiet", action="store_true", help="do not show how far it is")
    take_flags_after_dashes(parser)


def run(args: argparse.Namespace) -> None:
    """Compress, and print what was measured."""
    from fairseq_alone import plugin

    plugin.register()
    from fairseq_alone.compression.compress import Compression, compress
    from fairseq_alone.models.families import FAMILIES
    from fairseq_alone.recipes.execute import NORMAL, QUIET, VERBOSE

    if args.family not in FAMILIES:
        raise UserError(f"--family must be one of {', '.join(FAMILIES)}, got {args.family}")
    if args.output.endswith(".safetensors") and args.bits is None:
        raise UserError(f"--output {args.output}: a compact file needs --bits 32, 8 or 4")
    if args.updates is not None and args.epochs is not None:
        raise UserError("--updates contradicts --epochs: give one of the two")
    chosen = Compression(
        model=args.model,
        data=args.data,
        family=args.family,
        share=args.share,
        output=args.output,
        finetuning=_finetuning(args),
        lr=args.lr,
        bits=args.bits,
        score=args.score,
    )
    # Standard output is for what was measured.
    with contextlib.redirect_stdout(sys.stderr), _only_what_matters():
        found = compress(chosen, VERBOSE if args.verbose else QUIET if args.quiet else NORMAL)
    print(json.dumps(found, indent=1) if args.json else _printed(found, args.bits))


@contextlib.contextmanager
def _only_what_matters() -> Iterator[None]:
    """Hide what fairseq and hydra log about each data set that is loaded, and torch's advice to their authors."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        logging.disable(before)


def _finetuning(args: argparse.Namespace) -> Any:
    from fairseq_alone.compression.finetuning import Finetuning

    if args.lr is not None and not 0 < args.lr < float("inf"):
        raise UserError(f"--lr must be a positive number, got {args.lr}")
    values = {
        "updates": None if args.updates is None else positive("--updates", args.updates),
        "epochs": positive("--epochs", args.epochs or "2"),
        "weight": args.distillation_weight,
        "temperature": args.distillation_temperature,
        "max_tokens": None if args.max_tokens is None else positive("--max-tokens", args.max_tokens),
        "effective_tokens": None
        if args.effective_tokens is None
        else positive("--effective-tokens", args.effective_tokens),
        "seed": whole("--seed", args.seed),
        "workers": args.workers,
        "cpu": args.cpu,
        "flags": args.flags,
    }
    return lambda lr: Finetuning(lr=lr, **values)


def _printed(found: dict[str, Any], bits: int | None) -> str:
    from fairseq_alone.compression.compress import MODELS

    models = found["models"]
    scored = any("bleu" in model for model in models.values())
    rows = [["", "valid. perplexity", *(["BLEU"] if scored else []), "embedding, bytes", "model, bytes"]]
    for name, model in models.items():
        bleu = [f"{model['bleu']:.2f}" if "bleu" in model else ""] if scored else []
        sizes = [f"{model[size]:,}" for size in ("embedding_bytes", "model_bytes")]
        rows.append([MODELS[name].format(bits), f"{model['valid_ppl']:.3f}", *bleu, *sizes])
    explained = ", ".join(f"{place} {100 * share:.1f} %" for place, share in found["explained"].items())
    return "\n".join(
        [
            markdown_table(rows, 1),
            "",
            *([] if bits is None else [_COMPACT_NOTE.format(bits)]),
            f"variance of the table that the new embedding had: {explained}",
            f"the trained model: {found['teacher_file']}",
            *found["files"],
        ]
    )
