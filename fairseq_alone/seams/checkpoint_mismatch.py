"""A checkpoint that does not fit the model: one sentence that names the settings that differ."""

import functools
import re
import traceback
from typing import Any

from fairseq import checkpoint_utils
from fairseq.trainer import Trainer
from omegaconf import DictConfig, OmegaConf

from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.errors import UserError
from fairseq_alone.model_settings import differing_flags, model_settings, settings_of

# What the sentence names at most. A model that is altogether different has hundreds of such tensors.
_FEW_SETTINGS, _FEW_TENSORS = 6, 3


def install() -> None:
    """Say what differs when a training or a command loads a checkpoint into another model."""
    _wrap_training()
    _wrap_decoding()


def _wrap_training() -> None:
    # The trainer replaces every error of loading by "please ensure that the architectures match".
    original = Trainer.load_checkpoint

    @functools.wraps(original)
    def load_checkpoint_into_trainer(self: Trainer, filename: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, filename, *args, **kwargs)
        except Exception as error:
            inner = error.__context__
            if "architectures match" in str(error) and isinstance(inner, (RuntimeError, UserError)):
                raise _mismatch(filename, _settings(self.cfg.model), inner) from inner
            raise

    Trainer.load_checkpoint = load_checkpoint_into_trainer


def _wrap_decoding() -> None:
    original = checkpoint_utils.load_model_ensemble_and_task
    read = checkpoint_utils.load_checkpoint_to_cpu
    last_path: list[str] = []

    # Of several checkpoints, fairseq reads one, builds its model and loads it, then the next.
    @functools.wraps(read)
    def load_checkpoint_to_cpu(path: str, *args: Any, **kwargs: Any) -> Any:
        last_path[:] = [path]
        return read(path, *args, **kwargs)

    @functools.wraps(original)
    def load_model_ensemble_and_task(
        filenames: list[str], arg_overrides: dict | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        last_path.clear()
        try:
            return original(filenames, arg_overrides, *args, **kwargs)
        except (RuntimeError, UserError) as error:
            if last_path and _is_of_loading(error):
                settings = {**model_settings(load_checkpoint(last_path[0])), **(arg_overrides or {})}
                raise _mismatch(last_path[0], settings, error) from error
            raise

    checkpoint_utils.load_checkpoint_to_cpu = load_checkpoint_to_cpu
    checkpoint_utils.load_model_ensemble_and_task = load_model_ensemble_and_task


def _settings(model_config: Any) -> dict:
    if isinstance(model_config, DictConfig):
        model_config = OmegaConf.to_container(model_config)
    return settings_of(model_config)


def _is_of_loading(error: Exception) -> bool:
    return any(frame.f_code.co_name == "load_state_dict" for frame, _ in traceback.walk_tb(error.__traceback__))


def _mismatch(path: str, settings: dict, error: Exception) -> UserError:
    differing = differing_flags(model_settings(load_checkpoint(path)), settings)
    if differing:
        parts = [
            f"{flag} is {_shown(theirs)} in the checkpoint and {_shown(ours)} in the model"
            for flag, theirs, ours in differing
        ]
        advice = "give the settings that it was trained with"
        return UserError(f"{path}: {_listed(parts, _FEW_SETTINGS)}: {advice}")
    if isinstance(error, UserError):
        return UserError(f"{path}: {error}")
    parts = tensor_differences(str(error))
    advice = "give the settings and the dictionaries that it was trained with"
    return UserError(
        f"{path} does not fit the model, though their settings agree: {_listed(parts, _FEW_TENSORS)}: {advice}"
    )


def tensor_differences(message: str) -> list[str]:
    """What torch's ``load_state_dict`` complains of, a few words for each tensor: other shapes first."""
    shapes = re.findall(r"size mismatch for (\S+): .*?Size\(\[(.*?)\]\).*?Size\(\[(.*?)\]\)", message)
    parts = [f"{name} is ({theirs}) in the checkpoint and ({ours}) in the model" for name, theirs, ours in shapes]
    for kind, words in (("Missing", "is missing in the checkpoint"), ("Unexpected", "is not in the model")):
        listed = re.search(rf"{kind} key\(s\) in state_dict: (.*)", message)
        if listed:
            parts += [f"{name} {words}" for name in re.findall(r'"([^"]+)"', listed.group(1))]
    return parts or [message.strip().splitlines()[-1].strip()]


def _listed(parts: list[str], most: int) -> str:
    more = len(parts) - most
    return ", ".join(parts[:most]) + (f", and {more} more" if more > 0 else "")


def _shown(value: object) -> str:
    return "not given" if value is None else str(value)
