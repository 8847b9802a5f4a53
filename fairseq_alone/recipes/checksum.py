"""The checksum of POSIX's ``cksum``, which stands in the settings of folders and runs."""

import zlib
from collections.abc import Iterable
from pathlib import Path

# cksum is the CRC of zlib with the bits of every byte, and of the result, in the opposite order.
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_CHUNK = 1 << 20


def cksum(paths: Path | Iterable[Path]) -> str:
    """``"checksum size"`` of a file, or of several as if they were one, as ``cksum <FILE`` prints it."""
    size, value = 0, 0xFFFFFFFF  # zlib inverts the value before and after: this is cksum's 0
    for path in [paths] if isinstance(paths, Path) else paths:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                size += len(chunk)
                value = zlib.crc32(chunk.translate(_REVERSED), value)
    length = size.to_bytes((size.bit_length() + 7) // 8, "little")
    value = zlib.crc32(length.translate(_REVERSED), value)
    return f"{int(f'{value:032b}'[::-1], 2)} {size}"
