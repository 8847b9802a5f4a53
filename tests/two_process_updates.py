"""One of two processes that train together on CPUs: ``python two_process_updates.py RANK FOLDER``.

Runs all cases in turn and writes parameters and logs of each to FOLDER/RANK.pt. Not a test file itself.
"""

import sys

import torch
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.distributed import utils as distributed_utils
from fairseq.models import distributed_fairseq_model
from fairseq_training import parameters, train, trainer, updates

from fairseq_alone.models.matrix_updates import built_once_per_update

torch.set_num_threads(1)


def on_cpu(original):
    """PyTorch's DDP refuses the number of a device on a CPU, which fairseq always passes."""

    def wrap(**settings):
        settings.update(device_ids=None, output_device=None)
        return original(**settings)

    return wrap


def run(rank: int, folder: str, backend: str, *flags, groups=None, out_of_memory=False) -> dict:
    """Train one case."""
    flags += ("--distributed-world-size", 2, "--distributed-rank", rank, "--distributed-backend", "gloo")
    flags += ("--distributed-init-method", f"file://{folder}/rendezvous", "--ddp-backend", backend)
    flags += ("--distributed-no-spawn", "--device-id", 0)
    training = trainer(*flags)
    if not torch.distributed.is_initialized():
        distributed_utils.distributed_init(training.cfg)
    if groups is None:
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
    return {"parameters": parameters(training), "logs": logs, "builds": len(builds)}


def main() -> None:
    """Run all cases."""
    rank, folder = int(sys.argv[1]), sys.argv[2]
    distributed_fairseq_model.DistributedDataParallel = on_cpu(distributed_fairseq_model.DistributedDataParallel)
    results = {}
    for backend in ("legacy_ddp", "pytorch_ddp"):
        for suffix, mode in (("", "update"), (", forward", "forward")):
            rebuild = ("--alone-rebuild", mode, "--clip-norm", 1)
            results[backend + suffix] = run(rank, folder, backend, *rebuild)
            untied = ("--tie-embeddings", "none", "--alone-dropout", 0.3)
            results[f"{backend} untied{suffix}"] = run(rank, folder, backend, *rebuild, *untied)
        # Together, the micro-batches of one process in test_matrix_updates.py.
        shared = [group[rank::2] for group in updates([2, 4, 2], seed=5)]
        results[f"{backend} shared"] = run(rank, folder, backend, "--dropout=0", groups=shared)
    for suffix, mode in (("", "update"), (", forward", "forward")):
        results[f"legacy_ddp out of memory{suffix}"] = run(
            rank, folder, "legacy_ddp", "--alone-rebuild", mode, out_of_memory=True
        )
    torch.save(results, f"{folder}/{rank}.pt")


if __name__ == "__main__":
    main()
