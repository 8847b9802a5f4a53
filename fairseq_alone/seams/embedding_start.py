"""A new model's embeddings begin with word vectors where that is asked for, and only where no checkpoint is loaded.

``Trainer.load_checkpoint`` is the first moment when it is known whether there is one, and the last one before fairseq
copies the values for the optimizer.
"""

import functools
from typing import Any

import torch
from fairseq.trainer import Trainer

from fairseq_alone.models.starting import start_embeddings, wants_vectors
from fairseq_alone.modules.computed_embedding import ComputedEmbedding


def install() -> None:
    """Start the embeddings after a training found no checkpoint."""
    load_checkpoint = Trainer.load_checkpoint

    @functools.wraps(load_checkpoint)
    def load_checkpoint_or_start(self: Trainer, *args: Any, **kwargs: Any) -> Any:
        extra_state = load_checkpoint(self, *args, **kwargs)
        flags = self.cfg.model
        if extra_state is None and wants_vectors(self._model, flags):
            assert self._optimizer is None, "the optimizer has copies of the values already"
            _start(self._model, flags, self.task)
        return extra_state

    Trainer.load_checkpoint = load_checkpoint_or_start


def _start(model: Any, flags: Any, task: Any) -> None:
    """On several workers the first one works, and all others take what it found."""
    together = torch.distributed.is_initialized()
    if not together or torch.distributed.get_rank() == 0:
        start_embeddings(model, flags, task)
    if together:
        for tensor in [*model.parameters(), *model.buffers()]:
            torch.distributed.broadcast(tensor.data, 0)
        for module in model.modules():
            if isinstance(module, ComputedEmbedding):
                module.values_were_replaced()
