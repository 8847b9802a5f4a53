"""Codes of words: M whole numbers for each, which say what vector of each codebook is theirs."""

import torch
from torch import Tensor


def code_type(codebook_size: int) -> torch.dtype:
    """What codes are stored as: a byte where c vectors can be told apart by one."""
    return torch.uint8 if codebook_size <= 256 else torch.int32


def check_codes(codes: Tensor, shape: torch.Size, codebook_size: int) -> None:
    """Raise ValueError where codes are not of the ``shape`` (V, M), or not whole numbers in [0, c)."""
    if codes.shape != shape:
        raise ValueError(f"codes must be {tuple(shape)}, got {tuple(codes.shape)}")
    if codes.min() < 0 or codes.max() >= codebook_size:
        raise ValueError(f"codes must be from 0 to {codebook_size - 1}")
