"""TorchScript: ``torch.jit.script`` of a model gives a copy with plain tables, for decoding."""

import copy
from typing import Any

import torch
from torch import nn

from fairseq_alone.errors import UserError
from fairseq_alone.modules import HierarchicalSoftmax, TiedProjection
from fairseq_alone.modules.computed_embedding import ComputedEmbedding
from fairseq_alone.modules.rounding import rounding_of


class ScriptableCopy(nn.Module):
    """Mixin, before a fairseq model: ``torch.jit.script`` compiles a copy of it, see :func:`scriptable_copy`.

    So does the script of a generator or an ensemble that holds the model.
    """

    def __prepare_scriptable__(self) -> nn.Module:
        # PyTorch calls this. It would put what the modules within return into this model, not into a copy.
        return scriptable_copy(self)


def scriptable_copy(model: nn.Module) -> nn.Module:
    """A copy of a model in which computed and rounded embeddings are tables, and the output layers over them linear.

    It gives the same logits, but its tables do not follow the model's parameters, so it is for decoding only. One
    embedding gives one table, whatever its places: where it is tied, the tables of a saved script are one tensor.

    Raises:
        UserError: the model has a length encoding, whose positions cannot be compiled, a hierarchical softmax, or
            candidates.
    """
    if hasattr(model.decoder, "candidates"):
        raise UserError("TorchScript does not work with --candidates: decode with fairseq's commands")
    encoding = getattr(getattr(model, "cfg", None), "length_encoding", "none")
    if encoding != "none":
        raise UserError(f"TorchScript does not work with --length-encoding {encoding}: decode with fairseq's commands")
    if any(isinstance(module, HierarchicalSoftmax) for module in model.modules()):
        raise UserError("TorchScript does not work with --output-layer hierarchical: decode with fairseq's commands")
    copied = copy.deepcopy(model)
    tables: dict[int, nn.Embedding] = {}
    layers: dict[int, nn.Linear] = {}
    module: Any
    with torch.no_grad():
        for module in copied.modules():
            if isinstance(module, ComputedEmbedding) or rounding_of(module) is not None:
                tables[id(module)] = nn.Embedding.from_pretrained(module.matrix(), padding_idx=module.padding_idx)
        for module in copied.modules():
            if isinstance(module, TiedProjection):
                layers[id(module)] = _linear(module, tables.get(id(module.embedding)))
    for parent in list(copied.modules()):
        for name, child in parent.named_children():
            setattr(parent, name, tables.get(id(child)) or layers.get(id(child)) or child)
    return copied


def _linear(projection: TiedProjection, table: nn.Embedding | None) -> nn.Linear:
    weight = table.weight if table is not None and type(projection) is TiedProjection else projection.weight.detach()
    linear = nn.Linear(weight.size(1), weight.size(0), bias=False, device="meta")
    linear.weight = weight if isinstance(weight, nn.Parameter) else nn.Parameter(weight, requires_grad=False)
    return linear.train(projection.training)
