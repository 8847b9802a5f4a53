"""How many processes train together, where, and what each has to be told: this machine, torchrun or SLURM."""

import os
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from fairseq_alone.errors import UserError
from fairseq_alone.recipes.values import positive

# For a command that is only printed.
_ANY_PORT = "PORT"


@dataclass(frozen=True)
class Workers:
    """The workers of one training.

    Args:
        count: on all machines together.
        where: they were started from: "this machine", "torchrun" or "SLURM".
        gpus: that are seen here; 0 on a CPU.
        first_rank: of the processes that are started here.
        processes: how many of them. fairseq itself starts one for each GPU when it is not told otherwise.
        flags: of fairseq-train, about device and neighbours, without the rank.
    """

    count: int
    where: str
    gpus: int
    first_rank: int
    processes: int
    flags: tuple[str, ...]

    @property
    def hardware(self) -> str:
        """In a word."""
        return "GPU" if self.gpus else "CPU"

    def rank_flags(self) -> list[list[str]]:
        """For each process that is started here, the flags that differ between them."""
        ranks = range(self.first_rank, self.first_rank + self.processes)
        return [["--distributed-rank", str(rank)] if self.count > 1 else [] for rank in ranks]


def find_workers(
    environ: Mapping[str, str], gpus: int, asked: str | None = None, fp16: bool = True, dry_run: bool = False
) -> Workers:
    """The workers, by the variables of torchrun or SLURM, or by the GPUs of this machine.

    Args:
        environ: variables of the environment.
        gpus: that torch sees and may use.
        asked: ``--workers`` of the user.
        fp16: train in half precision on a GPU.
        dry_run: take no port.

    Raises:
        UserError: there are fewer GPUs, or SLURM does not name the first machine.
    """
    first_rank, local_rank, processes, spawn, init = 0, 0, 1, False, ""
    if all(environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR")):
        where, init = "torchrun", "env://"
        count, first_rank, local_rank = (int(environ[name]) for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"))
    elif _is_slurm_step(environ):
        where = "SLURM"
        count, first_rank, spawn = _slurm_tasks(environ, gpus)
        local_rank = int(environ.get("SLURM_LOCALID", 0))
        port = environ.get("MASTER_PORT") or 10000 + int(environ.get("SLURM_JOB_ID", 0)) % 50000
        init = f"tcp://{environ.get('MASTER_ADDR') or _first_slurm_machine(environ)}:{port}"
    else:
        where = "this machine"
        count = positive("--workers", asked or gpus or 1)
        if gpus and count > gpus:
            raise UserError(f"--workers {count}, but torch sees {gpus} GPU(s); give --cpu to train without them")
        spawn = gpus > 0 and count > 1
        processes = 1 if gpus else count
        if count > 1:
            init = f"tcp://localhost:{_ANY_PORT if dry_run else _free_port()}"

    if gpus:
        flags = ["--fp16"] if fp16 else []
    else:
        flags = ["--cpu", "--num-workers", "0"]
        if count > 1:
            # fairseq's default, torch's own DDP, asks for a GPU.
            flags += ["--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp"]
    flags += ["--distributed-world-size", str(count)]
    if count > 1:
        flags += ["--distributed-init-method", init]
        if not spawn:
            # With one visible GPU for each task, that GPU is number 0 whatever the local rank is.
            device = local_rank if local_rank < gpus else 0
            flags += ["--distributed-no-spawn", "--device-id", str(device)]
    return Workers(count, where, gpus, first_rank, processes, tuple(flags))


def count_gpus() -> int:
    """GPUs that torch sees."""
    import torch

    return torch.cuda.device_count()


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_slurm_step(environ: Mapping[str, str]) -> bool:
    # SLURM_STEP_ID exists only under srun: a batch script that calls train without srun is one process.
    return bool(environ.get("SLURM_PROCID") and environ.get("SLURM_STEP_ID")) and _tasks(environ) > 1


def _tasks(environ: Mapping[str, str]) -> int:
    return int(environ.get("SLURM_STEP_NUM_TASKS") or environ.get("SLURM_NTASKS") or 1)


def _slurm_tasks(environ: Mapping[str, str], gpus: int) -> tuple[int, int, bool]:
    """Workers, the rank of the first one here, and whether fairseq starts the others of this machine."""
    tasks, rank = _tasks(environ), int(environ["SLURM_PROCID"])
    nodes = int(environ.get("SLURM_STEP_NUM_NODES") or environ.get("SLURM_NNODES") or 1)
    if tasks == nodes and gpus > 1:  # one task for each machine: fairseq starts a process for each of its GPUs
        return nodes * gpus, rank * gpus, True
    return tasks, rank, False


def _first_slurm_machine(environ: Mapping[str, str]) -> str:
    nodes = environ.get("SLURM_STEP_NODELIST") or environ.get("SLURM_JOB_NODELIST") or ""
    try:
        done = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        raise UserError(f"scontrol cannot name the first machine of '{nodes}'; set MASTER_ADDR to it") from None


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]
