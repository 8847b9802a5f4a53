"""Compact files: trained tensors, each once and as small as asked for, with all that their use needs.

A compact file is one safetensors file; ``docs/compact-format.md`` describes it. Computed tables and filters are not in
it: they follow from the tensors and the settings that are.
"""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from fairseq_alone.errors import UserError
from fairseq_alone.modules.quantization import pack, packed_bytes, unpack

FORMAT = "fairseq-alone-compact"
FORMAT_VERSION = 1

# Embeddings and output layers; not the square matrix that stands before a regularised one.
_EMBEDDING = re.compile(
    r"(encoder\.embed_tokens|decoder\.(embed_tokens|output_embedding|output_projection|fc_out))\.(?!square$)"
)

# What is hashed in the place of the checksum.
_NO_CHECKSUM = "0" * 64

# Of a file that is no compact one, so that not all of it is read for nothing; safetensors's own limit.
_LARGEST_HEADER = 100_000_000


@dataclasses.dataclass(frozen=True)
class CompactFile:
    """What a compact file holds.

    Args:
        metadata: text by name; what the writer gave and what the format adds.
        state_dict: every tensor under all its names, float32 or whole numbers; tied ones are one tensor.
    """

    metadata: dict[str, str]
    state_dict: dict[str, Tensor]


def write_compact_file(
    path: str | os.PathLike,
    state_dict: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    quantization: str,
    embedding_quantization: str | None = None,
) -> None:
    """Write a compact file. The same tensors and metadata give the same bytes.

    Args:
        path: the file; it is written in place.
        state_dict: a model's tensors on the CPU. Names that share memory are one tensor, written once.
        metadata: text of the writer's own.
        quantization: one of :data:`~fairseq_alone.modules.quantization.QUANTIZATIONS`.
        embedding_quantization: that of the embeddings and the output layer; None is the same.

    Raises:
        UserError: a value is not finite, or the library safetensors is missing.
        SettingError: a quantization is unknown.
    """
    save = _safetensors().save
    parts, schemes = {}, {}
    others = other_names(state_dict)
    for name, tensor in state_dict.items():
        if name in others:
            continue
        if not bool(tensor.isfinite().all()):
            raise UserError(f"{name} holds a value that is not a finite number: the training failed")
        packed = pack(tensor, _quantization_of(name, quantization, embedding_quantization))
        schemes[name] = packed.scheme
        parts.update({f"{name}{suffix}": part.contiguous().clone() for suffix, part in packed.parts.items()})
    # In an order of ours: safetensors writes metadata in another order each time.
    whole = save(parts)
    size = int.from_bytes(whole[:8], "little")
    own = {
        "checksum": _NO_CHECKSUM,
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        **metadata,
        "tensors": _json(schemes),
        "other_names": _json(others),
    }
    text = _json({"__metadata__": own, **json.loads(whole[8 : 8 + size])}).encode()
    text += b" " * (-len(text) % 8)
    length, data = len(text).to_bytes(8, "little"), memoryview(whole)[8 + size :]
    checksum = _checksum(length + text, data)
    with open(path, "wb") as file:
        file.write(length + text.replace(_NO_CHECKSUM.encode(), checksum.encode(), 1))
        file.write(data)


def read_compact_file(path: str | os.PathLike) -> CompactFile:
    """Read a compact file, every byte of which is checked: about 1 ms for each MB.

    Raises:
        UserError: it cannot be read, is no compact file, a damaged one or one of a newer format, or the library
            safetensors is missing; names the file.
    """
    load = _safetensors().load
    try:
        with open(path, "rb") as file:
            whole = file.read()
    except OSError as error:
        raise _unreadable(path, error) from error
    metadata, size = _header(path, whole[:8], whole[8 : 8 + _header_size(path, whole[:8], len(whole))])
    beginning = whole[: 8 + size].replace(metadata["checksum"].encode(), _NO_CHECKSUM.encode(), 1)
    if _checksum(beginning, memoryview(whole)[8 + size :]) != metadata["checksum"]:
        raise UserError(f"{path}: is damaged: its checksum does not fit what it holds")
    parts = load(whole)
    state_dict = {}
    for name, scheme in json.loads(metadata["tensors"]).items():
        found = {suffix: parts[name + suffix] for suffix in ("", "/scale") if name + suffix in parts}
        # A copy, since what safetensors gives would keep the whole file in memory.
        state_dict[name] = unpack(scheme, found) if scheme["scheme"] != "raw" else found[""].clone()
    for name, stored in json.loads(metadata["other_names"]).items():
        state_dict[name] = state_dict[stored]
    return CompactFile(metadata, state_dict)


def read_metadata(path: str | os.PathLike) -> dict[str, str]:
    """The metadata of a compact file, without its tensors, which are not checked either.

    Raises:
        UserError: see :func:`read_compact_file`.
    """
    return _read_header(path)[0]


def compact_bytes(path: str | os.PathLike) -> dict[str, int]:
    """Bytes of a compact file by what they are for: ``embedding`` (with the output layer), ``encoder``, ``decoder``,
    ``other``, ``metadata``; they add up to the size of the file. Nothing but its beginning is read.

    Raises:
        UserError: see :func:`read_compact_file`.
    """
    _, header, size = _read_header(path)
    found = dict.fromkeys(("embedding", "encoder", "decoder", "other"), 0)
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        found[_group(name)] += stop - start
    return {**found, "metadata": 8 + size}


def bytes_under(
    state_dict: Mapping[str, Tensor], quantization: str, embedding_quantization: str | None = None
) -> dict[str, int]:
    """What :func:`compact_bytes` would tell of a file with these tensors, but for its metadata; nothing is written.

    Args:
        state_dict, quantization, embedding_quantization: see :func:`write_compact_file`.
    """
    found = dict.fromkeys(("embedding", "encoder", "decoder", "other"), 0)
    others = other_names(state_dict)
    for name, tensor in state_dict.items():
        if name not in others:
            found[_group(name)] += packed_bytes(tensor, _quantization_of(name, quantization, embedding_quantization))
    return found


def other_names(state_dict: Mapping[str, Tensor]) -> dict[str, str]:
    """Names of tensors that have one already, each with the first of them: those that share memory."""
    first: dict[tuple, str] = {}
    others = {}
    for name, tensor in state_dict.items():
        # Empty tensors have no address to tell them apart.
        key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype) if tensor.numel() else (name,)
        known = first.setdefault(key, name)
        if known != name:
            others[name] = known
    return others


def is_safetensors(path: str | os.PathLike) -> bool:
    """Whether a file is one of safetensors, by its beginning, or claims to be one by its name."""
    if str(path).endswith(".safetensors"):
        return True
    with open(path, "rb") as file:
        beginning = file.read(9)
    return int.from_bytes(beginning[:8], "little") <= _LARGEST_HEADER and beginning[8:] == b"{"


def _quantization_of(name: str, quantization: str, embedding_quantization: str | None) -> str:
    return (embedding_quantization or quantization) if _EMBEDDING.match(name) else quantization


def _group(name: str) -> str:
    if _EMBEDDING.match(name):
        return "embedding"
    return next((side for side in ("encoder", "decoder") if name.startswith(f"{side}.")), "other")


def _read_header(path: str | os.PathLike) -> tuple[dict[str, str], dict[str, Any], int]:
    """Metadata, the entries of the tensors, and the size of both."""
    try:
        with open(path, "rb") as file:
            length = file.read(8)
            text = file.read(_header_size(path, length, os.fstat(file.fileno()).st_size))
    except OSError as error:
        raise _unreadable(path, error) from error
    metadata, size = _header(path, length, text)
    return metadata, {name: entry for name, entry in json.loads(text).items() if name != "__metadata__"}, size


def _header_size(path: str | os.PathLike, length: bytes, file_bytes: int) -> int:
    size = int.from_bytes(length, "little")
    if len(length) < 8 or size > min(_LARGEST_HEADER, file_bytes - 8):
        raise UserError(f"{path}: is no safetensors file, or a damaged one")
    return size


def _header(path: str | os.PathLike, length: bytes, text: bytes) -> tuple[dict[str, str], int]:
    try:
        header = json.loads(text)
    except ValueError as error:
        raise UserError(f"{path}: is no safetensors file, or a damaged one") from error
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise UserError(f"{path}: is a safetensors file, but none that fairseq-alone export --to compact wrote")
    version = metadata.get("format_version")
    if version != str(FORMAT_VERSION):
        raise UserError(
            f"{path}: has version {version} of the format, but this fairseq_alone reads version {FORMAT_VERSION}; "
            "install a newer one"
        )
    if len(metadata.get("checksum", "")) != len(_NO_CHECKSUM):
        raise UserError(f"{path}: is damaged: it has no checksum")
    return metadata, int.from_bytes(length, "little")


def _checksum(beginning: bytes, data: memoryview) -> str:
    digest = hashlib.sha256(beginning)
    digest.update(data)
    return digest.hexdigest()


def _unreadable(path: str | os.PathLike, error: OSError) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"{path}: there is no such file")
    return UserError(f"{path}: cannot be read ({error.strerror or error})")


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise UserError("a compact file needs the library safetensors: pip install safetensors") from error
    return safetensors.torch


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
