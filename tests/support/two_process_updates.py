"""One of two processes that train together on CPUs: ``cli_main`` with the arguments RANK FOLDER.

Runs all cases in turn and writes parameters and logs of each to FOLDER/RANK.pt.
"""

import sys

import torch
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.distributed import utils as distributed_utils
from fairseq.models import distributed_fairseq_model
from fairseq_training import parameters, train, trainer, updates

from fairseq_alone.seams.once_per_update import built_once_per_update, push_gradients

torch.set_num_threads(1)


def on_cpu(original):
    """PyTorch's DDP refuses the number of a device on a CPU, which fairseq always passes."""

    def wrap(**settings):
        settings.update(device_ids=None, output_device=None)
        return original(**settings)

    return wrap


def run(rank: int, folder: str, backend: str, *flags, out_of_memory=False) -> dict:
    """Train one case."""
    flags += ("--distributed-world-size", 2, "--distributed-rank", rank, "--distributed-backend", "gloo")
    flags += ("--distributed-init-method", f"file://{folder}/rendezvous", "--ddp-backend", backend)
    flags += ("--distributed-no-spawn", "--device-id", 0)
    training = trainer(*flags)
    if not torch.distributed.is_initialized():
        distributed_utils.distributed_init(training.cfg)
    groups = updates([3, 1, 3, 2], seed=10 + rank)
    if rank == 1:
        groups[-1][-1] = {}  # an epoch whose last group is smaller here: fairseq repeats an old one, times zero
    training.reset_dummy_batch(updates([1], seed=20)[0][0])
    builds = []
    for embedding in built_once_per_update(training.get_model()):
        original = embedding.build_matrix
        embedding.build_matrix = lambda original=original: builds.append(1) or original()
    forward, calls = LabelSmoothedCrossEntropyCriterion.forward, []

    def failing(self, *args, **kwargs):
        calls.append(1)
        # The last of the group: after an error in another, fairseq's legacy_ddp never reduces again.
        if rank == 1 and len(calls) == 3:
            raise RuntimeError("CUDA out of memory (simulated)")
        return forward(self, *args, **kwargs)

    if out_of_memory:
        LabelSmoothedCrossEntropyCriterion.forward = failing
    try:
        logs = train(training, groups)
    finally:
        LabelSmoothedCrossEntropyCriterion.forward = forward
    results = {"parameters": parameters(training), "logs": logs, "builds": len(builds)}
    if backend == "pytorch_ddp":
        results["kept out of DDP"] = sorted(training.model.module.parameters_to_ignore)
        results["one without gradient"] = average_with_a_rank_that_has_no_gradient(training, rank)
    return results


def average_with_a_rank_that_has_no_gradient(training, rank: int) -> list:
    """Rank 0 has gradients of one, rank 1 none: both must take part, and end with one half."""
    ours = [p for embedding in built_once_per_update(training.get_model()) for p in embedding.parameters()]
    for parameter in ours:
        parameter.grad = torch.ones_like(parameter) if rank == 0 else None
    push_gradients(training.model)
    return [parameter.grad for parameter in ours]


def cli_main() -> None:
    """Run all cases."""
    rank, folder = int(sys.argv[1]), sys.argv[2]
    distributed_fairseq_model.DistributedDataParallel = on_cpu(distributed_fairseq_model.DistributedDataParallel)
    results = {}
    for backend in ("legacy_ddp", "pytorch_ddp"):
        for suffix, mode in (("", "update"), (", forward", "forward")):
            rebuild = ("--alone-rebuild", mode, "--clip-norm", 1)
            dropout = ("--alone-dropout", 0.3, "--alone-dropout-until", 2)
            results[backend + suffix] = run(rank, folder, backend, *rebuild, *dropout)
    for suffix, mode in (("", "update"), (", forward", "forward")):
        rebuild = ("--alone-rebuild", mode)
        untied = ("--tie-embeddings", "none", "--alone-dropout", 0.3)
        results[f"pytorch_ddp untied{suffix}"] = run(rank, folder, "pytorch_ddp", *rebuild, *untied)
        optimizer = "adam_muon" if hasattr(torch.optim, "Muon") else "adam"
        rows = (f"--optimizer={optimizer}", "--alone-filter=real", "--alone-free-rows=4,5x3")
        results[f"free rows{suffix}"] = run(rank, folder, "pytorch_ddp", *rebuild, *rows)
        results[f"legacy_ddp out of memory{suffix}"] = run(rank, folder, "legacy_ddp", *rebuild, out_of_memory=True)
    torch.distributed.destroy_process_group()
    torch.save(results, f"{folder}/{rank}.pt")
