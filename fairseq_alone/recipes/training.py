"""What the training of a recipe consists of, before it is known where it runs; and what translation and language models
share of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.recipes.batch import Batch
from fairseq_alone.recipes.checksum import cksum
from fairseq_alone.recipes.train_options import TrainOptions
from fairseq_alone.recipes.values import decimal, one_of, positive
from fairseq_alone.recipes.workers import Workers


@dataclass(frozen=True)
class Training:
    """One training.

    Args:
        settings: lines ``name=value`` that tell its runs apart.
        notes: sentences for the user.
        max_epoch, max_update: where it ends; 0 = no limit.
        divide: the batch, for given workers.
        flags: of fairseq-train, for a batch, workers and a folder of checkpoints; without those of the workers.
        fp16: in half precision on a GPU.
    """

    settings: list[str]
    notes: list[str]
    max_epoch: int
    max_update: int
    divide: Callable[[Workers], Batch]
    flags: Callable[[Batch, Workers, Path], list[str]]
    fp16: bool


def start_of(options: TrainOptions, default: str = "random") -> tuple[list[str], list[str]]:
    """What the embeddings begin with: flags, and lines of the settings; none of either for random values.

    Args:
        default: without ``--start``.

    Raises:
        UserError: it is neither ``random`` nor ``corpus`` nor a file.
    """
    start = options.start or default
    if start == "random":
        return [], []
    if start == "corpus":
        return ["--embedding-init", start], [f"start={start}"]
    if not Path(start).is_file():
        raise UserError(f"--start must be random, corpus or a file of word vectors, got '{start}'")
    return ["--embedding-init", str(Path(start).resolve())], [f"start={Path(start).name} {cksum(Path(start))}"]


def is_zero(weight: str) -> bool:
    """Whether the augmented loss is off."""
    return float(weight) == 0


def bits_flags(bits: str | None) -> list[str]:
    """Flags for ``--bits``: none for 32 or None. UserError: it is neither 32 nor 8 nor 4."""
    bits = one_of("--bits", bits or "32", ("32", "8", "4"))
    return [] if bits == "32" else ["--embedding-bits", bits]


def embedding_size(embedding: str, options: TrainOptions, inter_dim: int, factorized_dim: int) -> list[str]:
    """Flags of an embedding's size, for models with one embedding or two alike.

    Args:
        embedding: its kind, a word of ``--embedding``.
        options: what the user chose.
        inter_dim, factorized_dim: the preset's.

    Raises:
        UserError: a size is no number.
    """
    inter_dim = positive("--inter-dim", options.inter_dim or inter_dim)
    factorized_dim = positive("--factorized-dim", options.factorized_dim or factorized_dim)
    share = decimal("--share", options.share if options.share is not None else "0.5")
    return {
        "conventional": [],
        "factorized": ["--factorized-dim", str(factorized_dim)],
        "alone": ["--alone-filter", "real", "--alone-inter-dim", str(inter_dim)],
        "alone_share": ["--alone-share", share],
        "codes": ["--codes-share", share],
        "tensor_product": ["--tensor-share", share],
        "differentiated": ["--differentiated-share", share],
        "char_cnn": char_cnn_size(options.share)[0],
    }[embedding]


def char_cnn_size(share: str | None) -> tuple[list[str], list[str]]:
    """Flags and settings of a character CNN: of a share of the table, or of the architecture's size without one."""
    if share is None:
        return [], ["share=none"]
    share = decimal("--share", share)
    return ["--char-cnn-share", share], [f"share={share}"]


def no_effect(embedding: str, **options: str | None) -> list[str]:
    """A note for each option of another kind of embedding that was given."""
    kinds = {
        "factorized_dim": ("factorized",),
        "share": ("alone_share", "codes", "tensor_product", "differentiated", "char_cnn"),
        "inter_dim": ("alone", "alone_binary", "alone_real", "factorized"),
    }
    return [
        f"note: --{name.replace('_', '-')} has no effect with --embedding {embedding}"
        for name, value in options.items()
        if value is not None and embedding not in kinds[name]
    ]
