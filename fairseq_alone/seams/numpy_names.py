"""Names that newer versions of numpy do not have."""

import functools
import types

import numpy
from fairseq.data import language_pair_dataset, token_block_dataset


def install() -> None:
    """Give two modules of fairseq the integer that they ask for."""
    # fairseq asks numpy for compat.long, which newer ones do not have: in language models with one sentence a sample,
    # as fairseq-generate makes them, and in batches by length. Only these two modules see the substitute.
    if not hasattr(numpy, "compat"):
        substitute = types.ModuleType("numpy")
        substitute.__getattr__ = functools.partial(getattr, numpy)
        substitute.compat = types.SimpleNamespace(long=int)
        language_pair_dataset.np = token_block_dataset.np = substitute
