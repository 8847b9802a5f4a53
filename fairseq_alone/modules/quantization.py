"""Tensors in fewer bytes: half precision, whole numbers of 8 or 4 bits with scales, and codes in the bits they need.

``docs/compact-format.md`` has the same as formulas.
"""

import dataclasses
from collections.abc import Mapping, Sequence
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

# Three of them (0.95, 1.025, 1.1) give 4 percent more error than all 17, in a third of the time.
_FEW_RATIOS = _RATIOS[10:17:3]

# Values at a time: they stay in the processor's cache, which makes the search 4 to 9 times as fast.
_CHUNK_VALUES = 2**17

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


def rounded(tensor: Tensor, quantization: str, thorough: bool = True) -> Tensor:
    """What :func:`unpack` would give of a packed tensor, bit for bit, without packing it.

    Args:
        tensor: any shape, floating. What is not finite stays so, or becomes undefined with all that shares its scale.
        quantization: see :func:`pack`.
        thorough: False looks for the scales of 4 bits among three, not 17; for training, where the time counts.

    Returns:
        A tensor of the same shape, float32.
    """
    scheme = scheme_of(tensor, quantization)
    if scheme not in ("int8", "int4"):
        packed = pack(tensor, quantization)
        return unpack(packed.scheme, packed.parts)
    values = tensor.detach().float()
    if scheme == "int8":
        rows, lowest, highest = values.flatten(1), -127, 127
        scales = _int8_scales(rows).float()
    else:
        rows, lowest, highest = _groups(values), -8, 7
        scales, _ = _int4_scales(rows, _RATIOS if thorough else _FEW_RATIOS)
    found = torch.empty_like(rows)
    size = _chunk_rows(rows)
    for part, scale, place in zip(rows.split(size), scales.split(size), found.split(size), strict=True):
        # Adding zero makes negative zeros positive, as whole numbers are.
        torch.mul(_steps(part, scale, lowest, highest).add_(0.0), scale, out=place)
    return found.flatten(1)[:, : tensor[0].numel()].reshape(tensor.shape)


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
    scales = _int8_scales(rows)
    numbers = _steps(rows, scales.float(), -127, 127).to(torch.int8)
    return Packed({"scheme": "int8", "shape": list(values.shape)}, {"": numbers, "/scale": scales})


def _int8_scales(rows: Tensor) -> Tensor:
    """One for each row (R, 1), in the type that holds all of them."""
    scales = rows.abs().amax(1, keepdim=True) / 127
    return scales.to(_scale_dtype(scales))


def _pack_int4(values: Tensor) -> Packed:
    groups, columns = _groups(values), values[0].numel()
    scales, dtype = _int4_scales(groups, _RATIOS)
    steps = (_steps(groups, scales, -8, 7) + 8).to(torch.uint8).flatten(1)[:, :columns]
    pairs = F.pad(steps, (0, columns % 2))
    scheme = {"scheme": "int4", "shape": list(values.shape), "group": GROUP}
    return Packed(scheme, {"": pairs[:, ::2] | pairs[:, 1::2] << 4, "/scale": scales.squeeze(2).to(dtype)})


def _groups(values: Tensor) -> Tensor:
    """``(R, ...) -> (R, C / GROUP, GROUP)``, the last group filled up with zeros."""
    rows = values.flatten(1)
    return F.pad(rows, (0, -rows.size(1) % GROUP)).unflatten(1, (-1, GROUP))


def _int4_scales(groups: Tensor, ratios: Sequence[float]) -> tuple[Tensor, torch.dtype]:
    """The scale of each group (R, C / GROUP, 1), float32, and the type that holds all of them."""
    parts = groups.split(_chunk_rows(groups))
    # The value that is farthest from zero becomes -8, for which there is no opposite: so all 16 steps are used.
    farthest = [part.gather(2, part.abs().argmax(2, keepdim=True)) for part in parts]
    whole = torch.cat(farthest)
    dtype = _scale_dtype(torch.cat((_candidate(whole, _RATIOS[0]), _candidate(whole, _RATIOS[-1]))))
    found = [_best_scales(part, far, ratios, dtype) for part, far in zip(parts, farthest, strict=True)]
    return torch.cat(found), dtype


def _best_scales(groups: Tensor, farthest: Tensor, ratios: Sequence[float], dtype: torch.dtype) -> Tensor:
    # A group with an undefined value finds no scale, and must not look as if it did.
    best, least = torch.full_like(farthest, float("nan")), torch.full_like(farthest, float("inf"))
    for ratio in ratios:
        scales = _candidate(farthest, ratio).to(dtype).float()
        error = _steps(groups, scales, -8, 7).mul_(scales).sub_(groups).square_().sum(2, keepdim=True)
        best, least = torch.where(error < least, scales, best), torch.minimum(error, least)
    return best


def _chunk_rows(rows: Tensor) -> int:
    return max(1, _CHUNK_VALUES // max(1, rows[0].numel()))


def _candidate(farthest: Tensor, ratio: float) -> Tensor:
    # Adding zero makes the negative zero of an empty group positive.
    return farthest * (-ratio / 8) + 0.0


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
