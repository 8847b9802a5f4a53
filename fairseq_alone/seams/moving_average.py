"""``--store-ema``: the moving average of a model keeps the model's version, and counts a tied tensor once."""

import functools

from fairseq.models.ema.ema import EMA
from torch import Tensor, nn


def install() -> None:
    """Mend what fairseq's ``EMA`` does to versions and to tensors with several names."""
    step, restore, build = EMA._step_internal, EMA.restore, EMA.build_fp32_params

    @functools.wraps(restore)
    def restore_with_versions(self: EMA, state_dict: dict[str, Tensor], build_fp32_params: bool = False) -> None:
        # A step leaves out all names with "version" in them. Without one, fairseq's decoder takes the state dict for
        # one of before 2018 and removes its final layer norm.
        own = self.model.state_dict()
        kept = {name: own[name] for name in own if "version" in name or not own[name].is_floating_point()}
        restore(self, {**kept, **state_dict}, build_fp32_params)

    @functools.wraps(step)
    def step_each_tensor_once(self: EMA, new_model: nn.Module, updates: int | None = None) -> None:
        # Under three names a tensor would be decayed three times in one step.
        step(self, _AveragedTensors(new_model), updates)

    @functools.wraps(build)
    def build_with_ties(self: EMA, state_dict: dict[str, Tensor] | None = None) -> None:
        build(self, state_dict)
        for other, first in _ties(self.model).items():
            self.fp32_params[other] = self.fp32_params[first]

    EMA.restore = restore_with_versions
    EMA._step_internal = step_each_tensor_once
    EMA.build_fp32_params = build_with_ties


class _AveragedTensors:
    """A model as a step of the average sees it: of each tensor the first name only, and no whole numbers."""

    def __init__(self, model: nn.Module):
        self._model = model

    def state_dict(self) -> dict[str, Tensor]:
        state_dict = self._model.state_dict()
        others = _ties(self._model)
        return {
            name: tensor for name, tensor in state_dict.items() if name not in others and tensor.is_floating_point()
        }


def _ties(model: nn.Module) -> dict[str, str]:
    """Other names of a tensor in the model's state dict -> its first name."""
    first: dict[int, str] = {}
    ties = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if first.setdefault(id(tensor), name) != name:
            ties[name] = first[id(tensor)]
    return ties
