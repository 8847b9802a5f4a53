"""Any model of this package as one of stock fairseq: ``transformer``, ``transformer_lm`` or ``lstm_lm``.

The embedding becomes a plain table. Stock fairseq, without this package, gives the same output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fairseq_alone.errors import UserError
from fairseq_alone.inference.trained_model import (
    OTHER_SETTINGS,
    READS_ON,
    TrainedModel,
    build_model,
    flags_of_architecture,
)

if TYPE_CHECKING:
    from fairseq.models import BaseFairseqModel

# Stock fairseq's name of the network behind each of ours, by how the name begins.
_NETWORKS = (("transformer_lm", "transformer_lm"), ("lstm_lm", "lstm_lm"), ("transformer", "transformer"))


@dataclass(frozen=True)
class StockModel:
    """What stock fairseq needs.

    Args:
        config: ``{"model": ..., "task": ...}``, plain values, see :class:`TrainedModel`.
        state_dict: tensors by stock fairseq's names; tied ones are one tensor under several names.
    """

    config: dict[str, dict[str, Any]]
    state_dict: dict[str, Tensor]


@torch.no_grad()
def stock_model(trained: TrainedModel) -> StockModel:
    """Convert. A model of stock fairseq stays as it is.

    Raises:
        UserError: the model has a length encoding, which no stock model has, or is of another network.
    """
    network = _network(trained)
    model: Any = trained.model
    settings = _stock_settings(trained, network)
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    if trained.model_name != network:
        state = {name: tensor for name, tensor in state.items() if not is_embedding(name)}
        if network == "lstm_lm":
            state |= _lstm_embeddings(model.decoder, settings)
        else:
            state |= _transformer_embeddings(model, network)
    task = {name: value for name, value in trained.config["task"].items() if name != READS_ON}
    if task["_name"] == "headline_generation":
        task["_name"] = "translation"
    return StockModel({"model": settings, "task": task}, state)


def build_stock(trained: TrainedModel) -> tuple[BaseFairseqModel, StockModel]:
    """The converted model, built by stock fairseq's own class, in evaluation mode."""
    stock = stock_model(trained)
    model, _ = build_model(
        trained.path, stock.config, stock.state_dict, trained.source_dictionary, trained.target_dictionary
    )
    return model, stock


def _network(trained: TrainedModel) -> str:
    encoding = trained.config["model"].get("length_encoding") or "none"
    if encoding != "none":
        raise UserError(
            f"{trained.path}: was trained with --length-encoding {encoding}, which no other tool has; use "
            "fairseq-alone translate, or a bundle"
        )
    for start, network in _NETWORKS:
        if trained.model_name.startswith(start):
            return network
    raise UserError(
        f"{trained.path}: cannot be exported: its network is {trained.model_name}, not a Transformer, a "
        "Transformer language model or an LSTM language model of fairseq"
    )


def _stock_settings(trained: TrainedModel, network: str) -> dict[str, Any]:
    known = flags_of_architecture(network) | set(OTHER_SETTINGS)
    own = trained.config["model"]
    settings = {name: value for name, value in own.items() if name in known}
    # fairseq's build_model looks for _name first.
    settings |= {"arch": network, "_name": network}
    if network == "lstm_lm" and trained.model_name != network:
        # It asks whether the output layer is adaptive; ours is not, and may have had a criterion of this package.
        settings["criterion"] = "cross_entropy"
    return _of_dataclass(network, settings)


def _of_dataclass(network: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that fairseq checks by a dataclass have only its fields, of their types."""
    from fairseq.models import MODEL_DATACLASS_REGISTRY

    if network not in MODEL_DATACLASS_REGISTRY:
        return settings
    defaults = vars(MODEL_DATACLASS_REGISTRY[network]())
    kept = {name: value for name, value in settings.items() if name in defaults or name == "arch"}
    for name, value in kept.items():
        # The architectures of the command line say False where the field is a number.
        if isinstance(value, bool) and type(defaults.get(name)) is int:
            kept[name] = int(value)
    return kept


def is_embedding(name: str) -> bool:
    """Whether a tensor of this name belongs to an embedding or the output layer."""
    decoder = ("embed_tokens", "output_embedding", "output_projection")
    return name.startswith(("encoder.embed_tokens.", *(f"decoder.{module}." for module in decoder)))


def matrix_of(embedding: Any) -> Tensor:
    """The vectors of all words, (V, D_e), stored or computed; a copy."""
    # A plain nn.Embedding of stock fairseq has no matrix().
    table = embedding.matrix() if hasattr(embedding, "matrix") else embedding.weight
    return table.detach().clone()


def _transformer_embeddings(model: Any, network: str) -> dict[str, Tensor]:
    """The tables, one tensor where the embedding is one."""
    tables: dict[int, Tensor] = {}

    def table(embedding: Any) -> Tensor:
        if id(embedding) not in tables:
            tables[id(embedding)] = matrix_of(embedding)
        return tables[id(embedding)]

    state = {"decoder.embed_tokens.weight": table(model.decoder.embed_tokens)}
    if network == "transformer":
        state["encoder.embed_tokens.weight"] = table(model.encoder.embed_tokens)
    projection = model.decoder.output_projection
    state["decoder.output_projection.weight"] = output_rows(projection, model.decoder.embed_tokens, table)
    return state


def output_rows(projection: Any, embed_tokens: Any, table: Any) -> Tensor:
    """The rows of the output layer; the square matrix of Press and Wolf is folded into them.

    Args:
        projection: the output layer, of this package or of fairseq.
        embed_tokens: the decoder's input embedding.
        table: gives the vectors of an embedding, as :func:`matrix_of` does.

    Raises:
        UserError: the output layer has no rows of words.
    """
    from fairseq_alone.modules import HierarchicalSoftmax, RegularizedProjection, TiedProjection

    if isinstance(projection, HierarchicalSoftmax):
        raise UserError(
            "--output-layer hierarchical has vectors of the nodes of a tree and none of words, so that the model can "
            "become no table, and no model of another tool; export it as a bundle or to compact"
        )
    if isinstance(projection, RegularizedProjection):
        return (matrix_of(projection.embedding) @ projection.square).detach()
    if isinstance(projection, TiedProjection):
        return table(projection.embedding)
    weight: Any = projection.weight
    return table(embed_tokens) if weight is getattr(embed_tokens, "weight", None) else weight.detach().clone()


def _lstm_embeddings(decoder: Any, settings: dict[str, Any]) -> dict[str, Tensor]:
    """Input and output tables. Stock fairseq scales no word vectors, so a scale goes into the input table."""
    embedding: Any = decoder.embed_tokens
    rows = matrix_of(embedding)
    scale: float = decoder.embedding_scale
    output = output_rows(decoder.output_projection, embedding, matrix_of)
    if scale == 1.0 and torch.equal(rows, output) and settings["share_decoder_input_output_embed"]:
        return {"decoder.embed_tokens.weight": rows}
    settings["share_decoder_input_output_embed"] = False
    return {
        "decoder.embed_tokens.weight": rows * scale,
        "decoder.fc_out.weight": output,
        "decoder.fc_out.bias": output.new_zeros(output.size(0)),
    }
