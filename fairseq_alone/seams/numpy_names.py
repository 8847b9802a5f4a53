"""Names that newer versions of numpy do not have."""

import functools
import types
from typing import Any

import numpy
from fairseq.data import data_utils, language_pair_dataset, token_block_dataset


def install() -> None:
    """Give three modules of fairseq what they ask for. Only they see the substitute."""
    # The integer compat.long: in language models with one sentence a sample, as fairseq-generate makes them, and in
    # batches by length.
    if not hasattr(numpy, "compat"):
        language_pair_dataset.np = token_block_dataset.np = _numpy_with(compat=types.SimpleNamespace(long=int))
    # An argument that was renamed in numpy 1.22: in batches by length.
    data_utils.np = _numpy_with(percentile=_percentile)


def _percentile(a: Any, q: Any, interpolation: Any = "linear", **kwargs: Any) -> Any:
    return numpy.percentile(a, q, method=interpolation, **kwargs)


def _numpy_with(**names: object) -> types.ModuleType:
    substitute = types.ModuleType("numpy")
    vars(substitute).update(names, __getattr__=functools.partial(getattr, numpy))
    return substitute
