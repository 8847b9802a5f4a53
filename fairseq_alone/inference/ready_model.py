"""A trained model made ready for use: on its device, in fairseq's mode for decoding, its matrices computed."""

from __future__ import annotations

from typing import Any

import torch

from fairseq_alone.errors import UserError
from fairseq_alone.inference.trained_model import TrainedModel


@torch.no_grad()
def ready_model(trained: TrainedModel, device: str) -> Any:
    """The model itself, no copy: it is moved and cannot be trained any more.

    Afterwards several threads may use it at once: nothing in it changes while it decodes. That is why the matrices of
    embeddings are computed here, and why fairseq's generators must not drop them (``eval()`` does nothing to a
    model in fairseq's mode for decoding).

    Args:
        trained: the model.
        device: torch's name of the device, for example ``"cpu"`` or ``"cuda:1"``.

    Raises:
        UserError: there is no such device.
    """
    model: Any = trained.model
    try:
        model.to(torch.device(device))
    except (RuntimeError, AssertionError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        # PyTorch without CUDA fails with an assertion.
        raise UserError(f"device {device}: cannot be used ({str(error).splitlines()[0]})") from error
    model.make_generation_fast_(need_attn=False)
    for module in model.modules():
        if hasattr(module, "matrix"):
            module.matrix()
    return model


def default_device() -> str:
    """``"cuda"`` where there is a GPU that PyTorch can use, else ``"cpu"``."""
    return "cuda" if torch.cuda.is_available() else "cpu"
