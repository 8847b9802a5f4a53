"""Tensors in fewer bytes: half precision, whole numbers of 8 or 4 bits with scales, and codes in the bits they need.

``docs/compact-format.md`` has the same as formulas.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_alone.errors import SettingError

#: What trained tensors may be stored as.
QUANTIZATIONS = ("fp32", "fp16", "int8", "int4")

#: Values of a row that share a scale, with 4 bits.
GROUP = 32

# With 4 bits a scale is this share of the one that reaches the group's largest value: cutting a little off the largest
# often makes the sum of all squared errors smaller.
_RATIOS = tuple(0.7 + 0.025 * step for step in range(17))

# A scale in half precision is off by 2^-11 of itself, and 127 times that is far less than half a step. Below half
# precision's normal numbers it may be off by more.
_LARGEST_LOSS = 2.0**-9


@dataclasses.dataclass(frozen=True)
class Packed:
    """A tensor as it is stored.

    Args:
        scheme: how, as JSON values: ``{"scheme": "raw"}``, ``fp16``, ``int8``, ``int4`` or ``bits`` with what
            :func:`unpack` needs.
        parts: what is stored, by suffix of the name: ``""`` and, with 8 and 4 bits, ``"/scale"``.
    """

    scheme: dict[str, Any]
    parts: dict[str, Tensor]


def scheme_of(tensor: Tensor, quantization: str) -> str:
    """How a tensor is stored.

    Floating tensors of two or more dimensions get what is asked for. Of the others, which are biases, norms and base
    vectors, there are few values and each counts: they never get less than half precision. Whole numbers of two or more
    dimensions, none negative, are codes.

    Args:
        tensor: any.
        quantization: one of :data:`QUANTIZATIONS`.

    Raises:
        SettingError: it is none of them.
    """
    if quantization not in QUANTIZATIONS:
        raise SettingError("quantization", f"must be one of {', '.join(QUANTIZATIONS)}, got {quantization}")
    if tensor.numel() == 0:
        return "raw"
    if not tensor.is_floating_point():
        is_codes = tensor.dim() >= 2 and tensor.dtype != torch.bool and int(tensor.min()) >= 0
        return "bits" if is_codes else "raw"
    if quantization == "fp32":
        return "raw"
    if quantization != "fp16" and tensor.dim() >= 2:
        return quantization
    # Half precision ends at 65504.
    return "fp16" if bool(tensor.half().isfinite().all()) else "raw"


def pack(tensor: Tensor, quantization: str) -> Packed:
    """Make a tensor smaller. Equal tensors give equal bytes.

    Args:
        tensor: any shape; floating types are read as float32. Finite.
        quantization: one of :data:`QUANTIZATIONS`; see :func:`scheme_of` for what it means.

    Raises:
        SettingError: the quantization is none of them.
    """
    scheme = scheme_of(tensor, quantization)
    values = tensor.detach().float() if tensor.is_floating_point() else tensor.detach()
    if scheme == "fp16":
        return Packed({"scheme": scheme}, {"": values.half()})
    if scheme == "int8":
        return _pack_int8(values)
    if scheme == "int4":
        return _pack_int4(values)
    if scheme == "bits":
        return _pack_bits(values)
    return Packed({"scheme": "raw"}, {"": values})


def unpack(scheme: Mapping[str, Any], parts: Mapping[str, Tensor]) -> Tensor:
    """Undo :func:`pack`: float32, or the whole numbers in their type."""
    numbers = parts[""]
    if scheme["scheme"] == "fp16":
        return numbers.float()
    if scheme["scheme"] == "int8":
        return (numbers.float() * parts["/scale"].float()).view(scheme["shape"])  # (R, C) * (R, 1)
    if scheme["scheme"] == "int4":
        return _unpack_int4(numbers, parts["/scale"], scheme)
    return _unpack_bits(numbers, scheme) if scheme["scheme"] == "bits" else numbers


def packed_bytes(tensor: Tensor, quantization: str) -> int:
    """The bytes that :func:`pack` would need, without doing it; for scales in half precision."""
    scheme = scheme_of(tensor, quantization)
    if scheme == "bits":
        return (tensor.numel() * _bits(tensor) + 7) // 8
    if scheme in ("int8", "int4"):
        rows, columns = tensor.flatten(1).shape
        numbers, scales = (columns, 1) if scheme == "int8" else ((columns + 1) // 2, -(-columns // GROUP))
        return rows * (numbers + 2 * scales)
    size = tensor.element_size() if not tensor.is_floating_point() else 2 if scheme == "fp16" else 4
    return tensor.numel() * size


def _pack_int8(values: Tensor) -> Packed:
    rows = values.flatten(1)  # (R, C)
    scales = rows.abs().amax(1, keepdim=True) / 127  # (R, 1)
    scales = scales.to(_scale_dtype(scales))
    numbers = _steps(rows, scales.float(), -127, 127).to(torch.int8)
    return Packed({"scheme": "int8", "shape": list(values.shape)}, {"": numbers, "/scale": scales})


def _pack_int4(values: Tensor) -> Packed:
    rows = values.flatten(1)  # (R, C)
    columns = rows.size(1)
    groups = F.pad(rows, (0, -columns % GROUP)).unflatten(1, (-1, GROUP))  # -> (R, C / GROUP, GROUP)
    # The value that is farthest from zero becomes -8, for which there is no opposite: so all 16 steps are used.
    farthest = groups.gather(2, groups.abs().argmax(2, keepdim=True))
    # Adding zero makes the negative zero of an empty group positive.
    candidates = [farthest * (-ratio / 8) + 0.0 for ratio in _RATIOS]
    dtype = _scale_dtype(torch.cat((candidates[0], candidates[-1])))
    best, least = torch.empty_like(farthest), torch.full_like(farthest, float("inf"))
    for candidate in candidates:
        scales = candidate.to(dtype).float()
        error = (_steps(groups, scales, -8, 7) * scales - groups).square().sum(2, keepdim=True)
        best, least = torch.where(error < least, scales, best), torch.minimum(error, least)
    steps = (_steps(groups, best, -8, 7) + 8).to(torch.uint8).flatten(1)[:, :columns]
    pairs = F.pad(steps, (0, columns % 2))
    scheme = {"scheme": "int4", "shape": list(values.shape), "group": GROUP}
    return Packed(scheme, {"": pairs[:, ::2] | pairs[:, 1::2] << 4, "/scale": best.squeeze(2).to(dtype)})


def _unpack_int4(pairs: Tensor, scales: Tensor, scheme: Mapping[str, Any]) -> Tensor:
    columns = torch.Size(scheme["shape"][1:]).numel()
    steps = torch.stack((pairs & 15, pairs >> 4), 2).flatten(1)[:, :columns].float() - 8  # (R, C)
    each = scales.float().repeat_interleave(scheme["group"], 1)[:, :columns]
    return (steps * each).view(scheme["shape"])


def _steps(values: Tensor, scales: Tensor, lowest: int, highest: int) -> Tensor:
    """The nearest whole numbers of steps; zero where the scale is."""
    return (values / scales.masked_fill(scales == 0, 1)).round_().clamp_(lowest, highest)


def _scale_dtype(scales: Tensor) -> torch.dtype:
    lost = (scales.half().float() - scales).abs() > scales.abs() * _LARGEST_LOSS
    return torch.float32 if bool(lost.any()) else torch.float16


def _bits(codes: Tensor) -> int:
    return max(1, int(codes.max()).bit_length())


def _pack_bits(codes: Tensor) -> Packed:
    bits = _bits(codes)
    digits = (codes.reshape(-1, 1).long() >> torch.arange(bits)) & 1  # (N, bits), the lowest bit first
    octets = F.pad(digits.flatten(), (0, -digits.numel() % 8)).view(-1, 8)
    scheme = {"scheme": "bits", "bits": bits, "shape": list(codes.shape), "dtype": str(codes.dtype).split(".")[1]}
    return Packed(scheme, {"": (octets << torch.arange(8)).sum(1).to(torch.uint8)})


def _unpack_bits(octets: Tensor, scheme: Mapping[str, Any]) -> Tensor:
    bits, count = scheme["bits"], torch.Size(scheme["shape"]).numel()
    digits = ((octets[:, None].long() >> torch.arange(8)) & 1).flatten()[: count * bits].view(-1, bits)
    return (digits << torch.arange(bits)).sum(1).view(scheme["shape"]).to(getattr(torch, scheme["dtype"]))
