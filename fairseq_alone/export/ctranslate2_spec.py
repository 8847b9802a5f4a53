"""A Transformer of stock fairseq as a model of CTranslate2."""

from __future__ import annotations

from typing import Any

from fairseq_alone.errors import UserError
from fairseq_alone.inference.ctranslate2_folder import PAD

# fairseq's name of each function that CTranslate2 has, and CTranslate2's.
_ACTIVATIONS = {
    "relu": "RELU",
    "gelu": "GELU",
    "gelu_accurate": "GELUTanh",
    "gelu_fast": "GELUTanh",
    "tanh": "Tanh",
}

# Flags that change the network in a way that CTranslate2 does not have.
_REFUSED = (
    *("no_token_positional_embeddings", "cross_self_attention", "no_cross_attention", "adaptive_softmax_cutoff"),
    *("adaptive_input", "character_embeddings", "scale_fc", "scale_attn", "scale_heads", "scale_resids", "base_layers"),
)


def require_known(path: str, network: str, settings: dict[str, Any]) -> None:
    """Raise UserError, which names the flag, unless CTranslate2 has such a network.

    Args:
        path: of the model, for sentences.
        network: the name of the registered model.
        settings: its flags.
    """
    if network.startswith("lstm_lm"):
        raise UserError(f"{path}: is an LSTM, and CTranslate2 has only Transformers; use --to fairseq or compact")
    for name in _REFUSED:
        if settings.get(name):
            raise UserError(f"{path}: was trained with {_flag(name)}, which CTranslate2 does not have")
    activation = settings.get("activation_fn") or "relu"
    if activation not in _ACTIVATIONS:
        raise UserError(
            f"{path}: was trained with --activation-fn {activation}; CTranslate2 has {', '.join(_ACTIVATIONS)}"
        )
    if not network.startswith("transformer_lm"):
        for name in ("normalize_before", "attention_heads"):
            encoder, decoder = (settings.get(f"{side}_{name}") for side in ("encoder", "decoder"))
            if encoder != decoder:
                raise UserError(
                    f"{path}: {_flag(f'encoder_{name}')} is {encoder} and {_flag(f'decoder_{name}')} is {decoder}; "
                    "CTranslate2 needs the same on both sides"
                )


def translation_spec(path: str, model: Any, settings: dict[str, Any], rows: tuple[int, int]) -> Any:
    """A ``TransformerSpec`` with the tensors of ``model`` in it, vocabularies not yet.

    Args:
        path: of the model, for sentences.
        model: stock fairseq's ``transformer``; its tensors may be changed.
        settings: its flags.
        rows: positions of the encoder and of the decoder to keep.

    Raises:
        UserError: CTranslate2 has no place for some of its tensors.
    """
    from ctranslate2.converters import fairseq as converter
    from ctranslate2.specs.transformer_spec import TransformerDecoderSpec, TransformerEncoderSpec, TransformerSpec

    # One by one, since from_config has no flag for a decoder without its last norm.
    options = _options(model.encoder, settings)
    spec = TransformerSpec(
        TransformerEncoderSpec(len(model.encoder.layers), **options),
        TransformerDecoderSpec(
            len(model.decoder.layers),
            **_options(model.decoder, settings),
            project_in_out=_projects(path, model.decoder),
        ),
    )
    converter.set_transformer_encoder(spec.encoder, model.requires_grad_(False).encoder)
    converter.set_transformer_decoder(spec.decoder, model.decoder)
    _require_all(path, model, spec)
    for side, count in zip((spec.encoder, spec.decoder), rows, strict=True):
        side.position_encodings.encodings = side.position_encodings.encodings[:count]
    spec.config.decoder_start_token = spec.config.eos_token
    spec.config.add_source_eos = True
    return spec


def language_model_spec(path: str, model: Any, settings: dict[str, Any], rows: int) -> Any:
    """The same for stock fairseq's ``transformer_lm``: a ``TransformerDecoderModelSpec``."""
    from ctranslate2.converters import fairseq as converter
    from ctranslate2.specs.transformer_spec import TransformerDecoderModelSpec

    spec = TransformerDecoderModelSpec.from_config(
        len(model.decoder.layers),
        **_options(model.decoder, settings),
        project_in_out=_projects(path, model.decoder),
    )
    converter.set_transformer_decoder(spec.decoder, model.requires_grad_(False).decoder, with_encoder_attention=False)
    _require_all(path, model, spec)
    positions = spec.decoder.position_encodings
    positions.encodings = positions.encodings[:rows]
    return spec


def position_rows(module: Any) -> int:
    """How many positions an encoder or a decoder of fairseq has."""
    positions = module.embed_positions
    table = positions.weights if hasattr(positions, "weights") else positions.weight
    return int(table.size(0) - positions.padding_idx - 1)


def vocabulary(path: str, dictionary: Any) -> list[str]:
    """The words in order, padding by CTranslate2's name. Raises UserError when a word has this name already."""
    if PAD in dictionary.symbols:
        raise UserError(f"{path}: its dictionary has a word {PAD}, which is CTranslate2's name of padding")
    return [PAD if index == dictionary.pad() else symbol for index, symbol in enumerate(dictionary.symbols)]


def _options(module: Any, settings: dict[str, Any]) -> dict[str, Any]:
    from ctranslate2.specs.common_spec import Activation

    first = module.layers[0]
    return {
        "num_heads": first.self_attn.num_heads,
        "pre_norm": first.normalize_before,
        "no_final_norm": module.layer_norm is None,
        "activation": Activation[_ACTIVATIONS[settings.get("activation_fn") or "relu"]],
        "layernorm_embedding": module.layernorm_embedding is not None,
    }


def _projects(path: str, decoder: Any) -> bool:
    projections = [decoder.project_in_dim is not None, decoder.project_out_dim is not None]
    if any(projections) and not all(projections):
        raise UserError(
            f"{path}: only one of --decoder-input-dim and --decoder-output-dim differs from --decoder-embed-dim; "
            "CTranslate2 needs both or none"
        )
    return any(projections)


def _require_all(path: str, model: Any, spec: Any) -> None:
    """Refuse a model with tensors that the converter did not read: without them it would be another one."""
    read = sum(
        value.size
        for name, value in spec.variables().items()
        if getattr(value, "ndim", 0) and not name.endswith("position_encodings/encodings")
    )
    own = sum(
        tensor.numel()
        for name, tensor in model.state_dict().items()
        if "embed_positions" not in name and not name.endswith("version")
    )
    if read != own:
        raise UserError(f"{path}: has tensors that CTranslate2 does not know ({own} numbers, and it takes {read})")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
