"""Workers on this machine, under torchrun and under SLURM."""

import subprocess
from types import SimpleNamespace

import pytest

from fairseq_alone.errors import UserError
from fairseq_alone.recipes import workers
from fairseq_alone.recipes.workers import find_workers


def value(found, flag):
    return found.flags[found.flags.index(flag) + 1]


def test_cpu_is_chosen_without_gpus():
    found = find_workers({}, 0)
    assert found.flags == ("--cpu", "--num-workers", "0", "--distributed-world-size", "1")
    assert (found.hardware, found.where, found.rank_flags()) == ("CPU", "this machine", [[]])


def test_two_cpu_workers_are_two_joined_processes():
    found = find_workers({}, 0, "2")
    assert found.rank_flags() == [["--distributed-rank", "0"], ["--distributed-rank", "1"]]
    assert value(found, "--distributed-world-size") == "2"
    assert value(found, "--distributed-backend") == "gloo"
    assert value(found, "--ddp-backend") == "legacy_ddp"
    assert int(value(found, "--distributed-init-method").removeprefix("tcp://localhost:")) > 0
    assert "--distributed-no-spawn" in found.flags


def test_fairseq_starts_the_processes_of_several_gpus():
    found = find_workers({}, 2)
    assert found.rank_flags() == [["--distributed-rank", "0"]]
    assert value(found, "--distributed-world-size") == "2"
    assert "--fp16" in found.flags
    assert "--distributed-no-spawn" not in found.flags
    assert "--ddp-backend" not in found.flags
    with pytest.raises(UserError, match=r"--workers 3, but torch sees 2 GPU\(s\)"):
        find_workers({}, 2, "3")
    assert "--fp16" not in find_workers({}, 2, fp16=False).flags


@pytest.mark.parametrize(("gpus", "device_id"), [(0, "0"), (1, "0"), (2, "1")])
def test_torchrun_gives_rank_and_size(gpus, device_id):
    torchrun = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "node0", "MASTER_PORT": "1234"}
    found = find_workers(torchrun, gpus)
    assert (found.count, found.where, found.first_rank) == (8, "torchrun", 5)
    assert found.rank_flags() == [["--distributed-rank", "5"]]
    assert value(found, "--distributed-world-size") == "8"
    assert value(found, "--distributed-init-method") == "env://"
    assert value(found, "--device-id") == device_id
    assert "--distributed-no-spawn" in found.flags
    assert ("--cpu" in found.flags) == (gpus == 0)


SLURM = {"SLURM_PROCID": "3", "SLURM_STEP_ID": "0", "SLURM_JOB_ID": "77", "MASTER_ADDR": "node0"}


def test_slurm_with_one_task_for_each_gpu():
    found = find_workers({**SLURM, "SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_LOCALID": "3"}, 4)
    assert (found.count, found.where, found.hardware) == (8, "SLURM", "GPU")
    assert found.rank_flags() == [["--distributed-rank", "3"]]
    assert value(found, "--device-id") == "3"
    assert value(found, "--distributed-init-method") == "tcp://node0:10077"
    assert "--distributed-no-spawn" in found.flags


def test_slurm_with_one_task_for_each_machine():
    found = find_workers({**SLURM, "SLURM_NTASKS": "4", "SLURM_NNODES": "4", "SLURM_LOCALID": "0"}, 2)
    assert found.count == 8
    assert found.rank_flags() == [["--distributed-rank", "6"]]
    assert value(found, "--distributed-world-size") == "8"
    assert "--distributed-no-spawn" not in found.flags


def test_slurm_batch_script_without_srun_is_one_machine():
    found = find_workers({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, 1)
    assert (found.count, found.where) == (1, "this machine")


def test_slurm_names_the_first_machine(monkeypatch):
    environ = {**SLURM, "MASTER_ADDR": "", "SLURM_NTASKS": "2", "SLURM_STEP_NODELIST": "node[7-8]"}
    asked = []

    def scontrol(command, **_):
        asked.append(command)
        return SimpleNamespace(stdout="node7\nnode8\n")

    monkeypatch.setattr(workers.subprocess, "run", scontrol)
    assert value(find_workers(environ, 1), "--distributed-init-method") == "tcp://node7:10077"
    assert asked == [["scontrol", "show", "hostnames", "node[7-8]"]]

    def fails(command, **_):
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(workers.subprocess, "run", fails)
    with pytest.raises(UserError, match=r"cannot name the first machine of 'node\[7-8\]'; set MASTER_ADDR"):
        find_workers(environ, 1)
