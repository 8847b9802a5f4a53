"""Tensors with several names stay one tensor when fairseq copies a state dict to the CPU, so a file holds them once."""

from typing import Any

import torch
from fairseq import utils
from torch import Tensor


def install() -> None:
    """Replace fairseq's ``move_to_cpu``, which makes a copy for each name (its issue 2138)."""
    utils.move_to_cpu = move_to_cpu


def move_to_cpu(sample: Any) -> Any:
    """Tensors of nested containers on the CPU, half types as float32; what was one tensor is one afterwards."""
    moved: dict[tuple, Tensor] = {}

    def move(tensor: Tensor) -> Tensor:
        half = tensor.dtype in (torch.bfloat16, torch.float16)
        if tensor.numel() == 0 or (tensor.device.type == "cpu" and not half):
            return tensor.cpu()
        place = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if place not in moved:
            moved[place] = (tensor.to(torch.float32) if half else tensor).cpu()
        return moved[place]

    return utils.apply_to_sample(move, sample)
