"""State dicts that hold a computed embedding's tensors once, and load in any wrapping.

A module that is reachable by several names gives its tensors several keys. A computed embedding has names of its own,
so only the first of each is kept. A table keeps all names, as fairseq writes it and other tools expect it.
"""

from typing import Any

from torch import Tensor, nn

from fairseq_alone.checkpoints import same_bits
from fairseq_alone.errors import UserError
from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.modules.computed_embedding import ComputedEmbedding


def dropped_prefixes(model: nn.Module) -> list[str]:
    """All names but the first of every computed embedding in ``model``."""
    seen: set[int] = set()
    names = []
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, ComputedEmbedding):
            if id(module) in seen:
                names.append(name)
            seen.add(id(module))
    return names


def tied_names(model: nn.Module) -> list[list[str]]:
    """The names of every parameter and buffer that has several in ``model``, in the order of its modules."""
    names: dict[int, list[str]] = {}
    for tensors in (model.named_parameters, model.named_buffers):
        for name, tensor in tensors(remove_duplicate=False):
            names.setdefault(id(tensor), []).append(name)
    return [group for group in names.values() if len(group) > 1]


def restore_tied_names(model: nn.Module, state_dict: dict[str, Tensor], prefix: str = "") -> None:
    """Give a tied tensor, in place, all the names that loading expects.

    Raises:
        UserError: the state dict has other values under another name, so it is of a model that is not tied like this.
    """
    for names in tied_names(model):
        present = [prefix + name for name in names if prefix + name in state_dict]
        for name in present[1:]:
            if not same_bits(state_dict[name], state_dict[present[0]]):
                raise UserError(
                    f"{present[0]} and {name} are one tensor in this model, but differ in the checkpoint: "
                    "give the tying flags that it was trained with"
                )
        if present:
            state_dict.update((prefix + name, state_dict[present[0]]) for name in names)


class TiedStateDict(nn.Module):
    """Mixin, before a fairseq model that has a :attr:`family`: its state dict holds a computed embedding once."""

    family: type[EmbeddingFamily]

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """All tensors; those of a computed embedding under one name only."""
        state_dict = super().state_dict(*args, **kwargs)
        for dropped in dropped_prefixes(self):
            start = f"{kwargs.get('prefix', '')}{dropped}."
            for key in [key for key in state_dict if key.startswith(start)]:
                del state_dict[key]
        return state_dict

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        # PyTorch calls this for every module, whatever it is wrapped in, and then loads the children.
        self.family.upgrade_state_dict(self, state_dict, prefix)
        restore_tied_names(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Load like every fairseq model. Raises UserError when the filters of the checkpoint differ."""
        try:
            return super().load_state_dict(*args, **kwargs)
        except ValueError as error:
            raise UserError(str(error)) from error
