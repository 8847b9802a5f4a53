"""State dicts that hold a tied tensor once.

A module that is reachable by several names gives its tensors several keys. On a CPU in float32 they share memory and
torch writes them once, but fairseq copies key by key when it moves a model off a GPU or converts it (its issue 2138):
the checkpoint then holds copies, and its moving average of models counts them twice.
"""

from torch import nn

from fairseq_alone.checkpoints import same_bits
from fairseq_alone.errors import UserError


def tied_prefixes(model: nn.Module) -> list[tuple[str, str]]:
    """Pairs (first name, other name) of every embedding (it has ``matrix()``) with several names in ``model``."""
    names: dict[int, str] = {}
    pairs = []
    for name, module in model.named_modules(remove_duplicate=False):
        if hasattr(module, "matrix"):
            first = names.setdefault(id(module), name)
            if first != name:
                pairs.append((first, name))
    return pairs


def drop_tied_names(model: nn.Module, state_dict: dict, prefix: str = "") -> dict:
    """Remove from ``state_dict``, in place, all but the first name of each tied tensor; return it."""
    for _, other in tied_prefixes(model):
        for key in [key for key in state_dict if key.startswith(f"{prefix}{other}.")]:
            del state_dict[key]
    return state_dict


def restore_tied_names(model: nn.Module, state_dict: dict, prefix: str = "") -> None:
    """Undo :func:`drop_tied_names` in place.

    Raises:
        UserError: the state dict has other values under another name, so it is of a model that is not tied like this.
    """
    for first, other in tied_prefixes(model):
        start = f"{prefix}{first}."
        for key in [key for key in state_dict if key.startswith(start)]:
            other_key = f"{prefix}{other}.{key[len(start) :]}"
            if not same_bits(state_dict.setdefault(other_key, state_dict[key]), state_dict[key]):
                raise UserError(
                    f"{key} and {other_key} are one tensor in this model, but differ in the checkpoint: give the tying "
                    "flags that it was trained with"
                )


class TiedStateDict:
    """Mixin, before a fairseq model: its state dict holds a tied tensor once, and loading restores the other names."""

    def state_dict(self, *args, **kwargs):
        """All tensors, each under one name only."""
        return drop_tied_names(self, super().state_dict(*args, **kwargs), kwargs.get("prefix", ""))

    def upgrade_state_dict_named(self, state_dict, name):
        """Give tied tensors of a checkpoint all the names that loading expects."""
        super().upgrade_state_dict_named(state_dict, name)
        restore_tied_names(self, state_dict, f"{name}." if name else "")

    def load_state_dict(self, *args, **kwargs):
        """Load like every fairseq model. Raises UserError when the filters of the checkpoint differ."""
        try:
            return super().load_state_dict(*args, **kwargs)
        except ValueError as error:
            raise UserError(str(error)) from error
