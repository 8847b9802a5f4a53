"""Where fairseq's training begins and ends an update: the matrix of an embedding is built once between the two.

No argument or hook of fairseq tells where an update begins and ends, yet some of its methods run at known points of it:
``all_reduce_grads`` once, after all micro-batches and before gradients are reduced, scaled and clipped. The order is:
gradients zeroed, micro-batches, :func:`push_gradients`, gradients reduced (``legacy_ddp``), scaled and clipped, step.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from fairseq import models
from fairseq.optim.fairseq_optimizer import FairseqOptimizer
from fairseq.trainer import Trainer
from torch import nn
from torch.distributed import ProcessGroup
from torch.nn.parallel import DistributedDataParallel

from fairseq_alone.errors import UserError
from fairseq_alone.modules.computed_embedding import ComputedEmbedding

# What distributes the work of several processes, as fairseq names it. The first two are PyTorch's, the others reduce
# gradients at the end of an update.
_PYTORCH_DDP = ("c10d", "pytorch_ddp")
_LEGACY_DDP = ("no_c10d", "legacy_ddp")
_INSTEAD = "use --ddp-backend legacy_ddp or pytorch_ddp"


def install() -> None:
    """Have the functions of this file called from fairseq's own."""
    train_step, zero_grad = Trainer.train_step, Trainer.zero_grad
    all_reduce_grads = FairseqOptimizer.all_reduce_grads
    wrap_model = models.DistributedFairseqModel

    @functools.wraps(train_step)
    def train_step_with_matrices(self: Trainer, *args: Any, **kwargs: Any) -> Any:
        with update_of(self.model, self.cfg.distributed_training.ddp_backend):
            return train_step(self, *args, **kwargs)

    @functools.wraps(zero_grad)
    def zero_grad_with_matrices(self: Trainer) -> None:
        drop_gradients(self.model)
        zero_grad(self)

    @functools.wraps(all_reduce_grads)
    def all_reduce_grads_with_matrices(self: FairseqOptimizer, module: nn.Module) -> None:
        push_gradients(module)
        all_reduce_grads(self, module)

    @functools.wraps(wrap_model)
    def wrap_model_with_matrices(
        args: Any, model: nn.Module, process_group: ProcessGroup, device: torch.device
    ) -> nn.Module:
        def wrap() -> nn.Module:
            return wrap_model(args, model, process_group, device)

        return wrap_for_ddp(wrap, args.ddp_backend, model, process_group)

    Trainer.train_step, Trainer.zero_grad = train_step_with_matrices, zero_grad_with_matrices
    FairseqOptimizer.all_reduce_grads = all_reduce_grads_with_matrices
    models.DistributedFairseqModel = wrap_model_with_matrices


def built_once_per_update(model: nn.Module) -> list[ComputedEmbedding]:
    """The embeddings in ``model`` whose matrix is to be built once per update, each once."""
    return [
        module for module in model.modules() if isinstance(module, ComputedEmbedding) and module.rebuild == "update"
    ]


@contextlib.contextmanager
def update_of(model: nn.Module, ddp_backend: str) -> Iterator[None]:
    """One update of fairseq's trainer. Does nothing within another: fairseq repeats an update within itself.

    Raises:
        UserError: the backend shards parameters, or it ended the update without :func:`push_gradients`.
    """
    if ddp_backend == "fully_sharded" and any(isinstance(module, ComputedEmbedding) for module in model.modules()):
        raise UserError(f"--ddp-backend fully_sharded does not work with a computed embedding: {_INSTEAD}")
    embeddings = [embedding for embedding in built_once_per_update(model) if not embedding.in_update]
    for embedding in embeddings:
        embedding.begin_update()
    finished = False
    try:
        yield
        finished = True
    finally:
        lost = [embedding.end_update() for embedding in embeddings]
        if finished and any(lost):
            raise UserError(
                f"--ddp-backend {ddp_backend} ended an update without the gradient of the embedding: {_INSTEAD}, or "
                "--alone-rebuild forward"
            )


def push_gradients(model: nn.Module) -> None:
    """Push what the micro-batches left through the embeddings. Called before gradients are reduced, once per update."""
    embeddings = built_once_per_update(model)
    for embedding in embeddings:
        embedding.push_gradient()
    for wrapper in model.modules():
        if isinstance(wrapper, DistributedDataParallel):
            # It reduced all others during the last backward pass; these were kept out of it.
            _average_gradients(embeddings, wrapper.process_group)


def drop_gradients(model: nn.Module) -> None:
    """Drop what the micro-batches left, as the gradients of parameters are zeroed: after an OOM, for example."""
    for embedding in built_once_per_update(model):
        embedding.drop_gradient()


def wrap_for_ddp(
    wrap: Callable[[], nn.Module], ddp_backend: str, model: nn.Module, process_group: ProcessGroup
) -> nn.Module:
    """Call ``wrap()``, which wraps ``model`` for several processes, so that it works with :func:`push_gradients`.

    Raises:
        UserError: with this backend nothing is known about the gradients.
    """
    parameters = _parameters(built_once_per_update(model))
    if not parameters or ddp_backend in _LEGACY_DDP:
        return wrap()
    if ddp_backend not in _PYTORCH_DDP:
        raise UserError(
            f"--ddp-backend {ddp_backend} does not work with an embedding built once per update: {_INSTEAD}, or "
            "--alone-rebuild forward"
        )
    # DDP would wait for their gradients in every backward pass, where they get none. A list is no tensor, so torch's
    # annotations do not foresee it.
    model._ddp_params_and_buffers_to_ignore = [  # type: ignore[assignment]
        name
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if any(parameter is ours for ours in parameters)
    ]
    wrapped = wrap()
    # DDP makes all processes start from the values of the first; not so for these.
    for parameter in parameters:
        source = torch.distributed.get_global_rank(process_group, 0)
        torch.distributed.broadcast(parameter.data, source, group=process_group)
    return wrapped


def _parameters(embeddings: list[ComputedEmbedding]) -> list[nn.Parameter]:
    return [parameter for embedding in embeddings for parameter in embedding.parameters()]


def _average_gradients(embeddings: list[ComputedEmbedding], process_group: ProcessGroup) -> None:
    world_size = torch.distributed.get_world_size(process_group)
    for parameter in _parameters(embeddings):
        if parameter.requires_grad:
            # A process whose micro-batches all failed has none; all must take part.
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            # Divided first, as DDP does, so that a half type does not overflow.
            parameter.grad.div_(world_size)
            torch.distributed.all_reduce(parameter.grad, group=process_group)
