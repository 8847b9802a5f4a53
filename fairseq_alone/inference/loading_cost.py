"""What it costs to load a model until it can decode: time and memory, measured in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from fairseq_alone.errors import UserError

# Computed embeddings build their matrix when it is first read, so that belongs to the loading.
_CODE = "from fairseq_alone.inference.loading_cost import print_cost; print_cost()"


def loading_cost(path: str, data: str | None = None, user_dir: str | None = None) -> dict[str, float]:
    """Load a model in a fresh process and measure.

    Args:
        path: what :func:`~fairseq_alone.inference.opening.open_model` takes.
        data: the binarised data of a checkpoint, for its dictionaries.
        user_dir: a plugin that registers the model's family.

    Returns:
        ``load_seconds`` from the file to a model that can decode, computed tables included; ``peak_bytes``, the
        resident memory at its peak; ``libraries_bytes``, what Python, torch and fairseq have of it.

    Raises:
        UserError: the model cannot be loaded.
    """
    request = json.dumps({"path": path, "data": data, "user_dir": user_dir})
    done = subprocess.run([sys.executable, "-c", _CODE, request], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(last if last.startswith(path) else f"{path}: cannot be loaded to measure the cost ({last})")
    # Libraries may print before.
    cost: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return cost


def print_cost() -> None:
    """Measure in this process, and print JSON."""
    request = json.loads(sys.argv[1])
    from fairseq_alone import plugin
    from fairseq_alone.inference.opening import Given, open_model

    plugin.register()
    if request["user_dir"]:
        from argparse import Namespace

        from fairseq.utils import import_user_module

        import_user_module(Namespace(user_dir=request["user_dir"]))
    libraries = _peak_bytes()
    started = time.perf_counter()
    try:
        model: Any = open_model(request["path"], Given(request["data"])).model
    except UserError as error:
        sys.exit(str(error))
    for module in model.modules():
        if hasattr(module, "matrix"):
            module.matrix()
    seconds = time.perf_counter() - started
    print(json.dumps({"load_seconds": seconds, "peak_bytes": _peak_bytes(), "libraries_bytes": libraries}))


def _peak_bytes() -> int:
    """The largest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.is_file():
        # getrusage also counts what the parent had when it started this process.
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
