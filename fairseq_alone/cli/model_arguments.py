"""Arguments of the commands that use a trained model, and the model that they ask for."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from fairseq_alone.recipes.values import positive

if TYPE_CHECKING:
    from fairseq_alone.inference.language_model import LanguageModel
    from fairseq_alone.inference.translator import Translator


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Where it runs."""
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda or cuda:N; default: a GPU if there is one")
    parser.add_argument("--threads", metavar="N", help="of the CPU; default: as many as it has cores")


def add_backend(parser: argparse.ArgumentParser) -> None:
    """What decodes, and where."""
    parser.add_argument(
        "--backend",
        choices=("fairseq", "ctranslate2"),
        default="fairseq",
        help="what decodes; ctranslate2 is faster on a CPU; default: fairseq",
    )
    parser.add_argument(
        "--quantization", metavar="TYPE", help="of --backend ctranslate2: float32, int16, int8 or int8_float16"
    )
    add_machine(parser)


def load_model(args: argparse.Namespace) -> Translator | LanguageModel:
    """Load MODEL as the arguments say. Raises UserError when that is not possible."""
    if args.threads is not None:
        # Read by CTranslate2 when it loads a model, and by torch when it is imported.
        os.environ["OMP_NUM_THREADS"] = str(positive("--threads", args.threads))
    from fairseq_alone.inference.ctranslate2_folder import is_ctranslate2_folder
    from fairseq_alone.loading import Origin, load_origin

    backend = getattr(args, "backend", "fairseq")
    origin = Origin(
        args.model,
        device=args.device or ("cpu" if backend != "fairseq" or is_ctranslate2_folder(args.model) else _device()),
        backend=backend,
        quantization=getattr(args, "quantization", None),
        data=args.data,
        bpe_codes=args.bpe_codes,
        sentencepiece=args.sentencepiece,
        moses=args.moses,
        split=args.split,
        unnormalized_scores=getattr(args, "unnormalized_scores", False),
    )
    return load_origin(origin)


def _device() -> str:
    from fairseq_alone.inference.ready_model import default_device

    return default_device()
