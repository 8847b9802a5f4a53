"""``--embedding-bits``: embeddings that are trained with the numbers of a compact file."""

from argparse import ArgumentParser, Namespace
from typing import Any

from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.modules.rounding import QUANTIZATION_OF_BITS, Rounding

#: What the flag takes; with the first, nothing is rounded.
BITS = (32, 8, 4)


def add_bits_args(parser: ArgumentParser) -> None:
    """Add ``--embedding-bits`` and ``--embedding-bits-after``."""
    # fmt: off
    parser.add_argument("--embedding-bits", type=int, choices=BITS, default=32,
                        help="compute with the embedding's trained tensors as a compact file of int8 or int4 has them; "
                             "what is trained stays in 32 bits; default: 32, nothing is rounded")
    parser.add_argument("--embedding-bits-after", type=int, metavar="N", default=0,
                        help="with --embedding-bits 8 or 4: round from update N on; validation always does; default: 0")
    # fmt: on


def round_as_asked(args: Namespace, embedding: Any) -> None:
    """Give a new embedding the rounding that the flags ask for.

    Raises:
        UserError: a flag is outside its range, or the embedding cannot be rounded.
    """
    # A checkpoint of an older version does not have the flags.
    bits, after = getattr(args, "embedding_bits", None) or 32, getattr(args, "embedding_bits_after", None) or 0
    if bits not in BITS:
        raise UserError(f"--embedding-bits must be one of {', '.join(map(str, BITS))}, got {bits}")
    if bits == 32:
        if after:
            raise UserError(f"--embedding-bits-after {after} needs --embedding-bits 8 or 4")
        return
    if not hasattr(embedding, "rounding"):
        raise UserError(
            f"--embedding-bits {bits} needs a ComputedEmbedding or a TableEmbedding, not {type(embedding).__name__}"
        )
    try:
        embedding.rounding = Rounding(bits, after)
    except SettingError as error:
        raise UserError(f"--embedding-{error.setting.replace('_', '-')} {error.problem}") from error


def stored_as(settings: dict[str, Any]) -> str | None:
    """The type of a compact file that holds the embedding of a model exactly: int8, int4, or None for any other.

    Args:
        settings: those of the model by name.
    """
    return QUANTIZATION_OF_BITS.get(settings.get("embedding_bits") or 32)
