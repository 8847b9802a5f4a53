"""How exact the products of float32 matrices are."""

import contextlib
from collections.abc import Iterator

import torch

#: torch's names, from exact to fast.
PRECISIONS = ("highest", "high", "medium")


@contextlib.contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Use torch's ``precision`` in the block; ``highest`` leaves what the process has."""
    if precision == "highest":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
