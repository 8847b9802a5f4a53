"""Flags of any model that fairseq refuses by an assertion or an error of its own, or not at all."""

import functools
import re
from typing import Any

from fairseq import models
from omegaconf import DictConfig, OmegaConf

from fairseq_alone.errors import UserError
from fairseq_alone.model_settings import settings_of

# torch's allocators raise a RuntimeError.
_TOO_LARGE = re.compile(r"allocate memory|out of memory|overflow", re.IGNORECASE)


def install() -> None:
    """Check sizes before a model is built, and keep fairseq's own sentences."""
    # Every task builds its model by this function.
    original = models.build_model

    @functools.wraps(original)
    def build_model(cfg: Any, *args: Any, **kwargs: Any) -> Any:
        flags: Any = OmegaConf.to_container(cfg) if isinstance(cfg, DictConfig) else cfg
        require_heads_that_divide(settings_of(flags))
        try:
            return original(cfg, *args, **kwargs)
        except ValueError as error:
            # fairseq's sentences about contradicting flags begin with the flag.
            if type(error) is ValueError and str(error).startswith("--"):
                raise UserError(str(error)) from error
            raise
        except (MemoryError, OverflowError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not _TOO_LARGE.search(str(error)):
                raise
            raise UserError(f"the model is too large for the memory of this machine: {error}") from error

    models.build_model = build_model


def require_heads_that_divide(settings: dict) -> None:
    """Raise UserError when a size of an embedding is no multiple of the number of attention heads.

    Args:
        settings: those of the model by name, as :func:`~fairseq_alone.model_settings.settings_of` gives them.
    """
    for side in ("encoder", "decoder"):
        size, heads = settings.get(f"{side}_embed_dim"), settings.get(f"{side}_attention_heads")
        if not isinstance(size, int) or not isinstance(heads, int):
            continue
        if heads < 1:
            raise UserError(f"--{side}-attention-heads must be at least 1, got {heads}")
        if size % heads:
            raise UserError(f"--{side}-attention-heads {heads} does not divide --{side}-embed-dim {size}")
