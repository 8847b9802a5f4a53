"""Reading checkpoints safely: torch's safe loader, the few types that fairseq's checkpoints hold, and clear errors.

torch is imported by the first function that needs it: the command line tools import this file even to print their
help.
"""

import contextlib
import errno
import functools
import pickle
import re
import struct
import zipfile
from argparse import Namespace
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from fairseq_alone.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

# What unpickling bytes that are no pickle, or not all of one, can raise.
_DAMAGE = (
    *(pickle.UnpicklingError, EOFError, struct.error, zipfile.BadZipFile, OverflowError, AssertionError),
    *(AttributeError, ImportError, IndexError, KeyError, RuntimeError, TypeError, ValueError),
)

# torch's allocators raise a RuntimeError as well; these words are in their messages.
_NO_MEMORY = re.compile(r"out of memory|not enough memory|can't allocate memory|cannot allocate", re.IGNORECASE)


def load_checkpoint(path: str, mmap: bool = False) -> dict:
    """Read a fairseq checkpoint to the CPU with torch's safe loader, which runs no code from the file.

    Args:
        path: the file.
        mmap: read only those tensors that are used, when they are used. The file must stay as it is meanwhile.

    Returns:
        fairseq's dictionary with ``cfg``, ``model`` and so on.

    Raises:
        UserError: the file is missing, cut short, not written by fairseq, or holds anything but data.
    """
    with file_errors(path), open(path, "rb") as file:
        # Only a path, not an open file, can be mapped.
        state = load_safely(path if mmap else file, path, map_location="cpu", mmap=mmap)
    require_fairseq_state(path, state)
    return state


def load_safely(file: str | IO[bytes], path: str, map_location: Any = None, mmap: bool = False) -> Any:
    """``torch.load`` with the safe loader: no code of the file runs, whoever asks.

    Args:
        file: open for reading in binary mode, or the path.
        path: how the sentence calls it.
        map_location: torch's.
        mmap: torch's.

    Raises:
        UserError: these bytes are no whole checkpoint, or hold anything but data.
        OSError, MemoryError and so on: as they are, because they say nothing about the checkpoint.
    """
    import torch

    allow_checkpoint_types()
    with checkpoint_errors(path):
        return torch.load(file, map_location=map_location, weights_only=True, mmap=mmap)


def require_fairseq_state(path: str, state: object) -> None:
    """Raise UserError when this is not the dictionary that fairseq writes."""
    if not isinstance(state, dict) or "model" not in state or (state.get("cfg") is None and state.get("args") is None):
        raise UserError(f"{path}: not a fairseq checkpoint: it has no `model` and `cfg` as fairseq writes them")


@contextlib.contextmanager
def file_errors(path: str) -> Iterator[None]:
    """Turn the errors of opening and reading a file into one sentence that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such checkpoint") from error
    except IsADirectoryError as error:
        raise UserError(f"{path}: is a folder, not a checkpoint") from error
    except PermissionError as error:
        raise UserError(f"{path}: reading it is not permitted") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error


@contextlib.contextmanager
def checkpoint_errors(path: str) -> Iterator[None]:
    """Turn the many errors of unpickling a bad file into one sentence that names it. For nothing but ``torch.load``.

    What says nothing about the file passes through: memory, the system, an interruption.
    """
    try:
        yield
    except UserError:
        raise
    except _DAMAGE as error:
        if isinstance(error, pickle.UnpicklingError) and "Unsupported global" in str(error):
            blocked = re.search(r"GLOBAL (\S+)", str(error))
            name = blocked.group(1) if blocked else "an unknown type"
            raise UserError(f"{path}: holds {name}, which the safe loader does not allow") from error
        if isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)):
            raise
        raise UserError(f"{path}: not a fairseq checkpoint, or a damaged one") from error
    except OSError as error:
        # Where the index of a file that is cut short should be, torch seeks to a place before the beginning.
        if error.errno != errno.EINVAL:
            raise
        raise UserError(f"{path}: not a fairseq checkpoint, or a damaged one") from error


@functools.cache
def allow_checkpoint_types() -> None:
    """Tell torch's safe loader the harmless types that a fairseq checkpoint holds. The first call does it."""
    import numpy
    import torch

    # All that a fairseq checkpoint holds besides tensors and containers: the flags, and counts of an --eval-bleu run.
    multiarray = (getattr(numpy, "_core", None) or numpy.core).multiarray
    types: list = [Namespace, numpy.ndarray, numpy.dtype]
    types += [type(numpy.dtype(kind)) for kind in ("int32", "int64", "float32", "float64", "bool")]
    for function in (multiarray._reconstruct, multiarray.scalar):
        # numpy 2 renamed the module; a checkpoint keeps the name of the numpy that wrote it.
        types += [(function, f"numpy.{core}.multiarray.{function.__name__}") for core in ("core", "_core")]
    torch.serialization.add_safe_globals(types)


def same_bits(first: "Tensor", second: "Tensor") -> bool:
    """Whether two tensors agree in shape, type and every bit (NaN equals itself)."""
    import torch

    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    first_bytes, second_bytes = (tensor.reshape(-1).view(torch.uint8) for tensor in (first, second))
    return torch.equal(first_bytes, second_bytes)
