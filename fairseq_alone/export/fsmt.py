"""A translation model of this package as Hugging Face's FSMT, whose positions and layers are fairseq's."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fairseq_alone.errors import UserError
from fairseq_alone.export.stock import build_stock
from fairseq_alone.inference.trained_model import Decoding, TrainedModel

if TYPE_CHECKING:
    from transformers import FSMTConfig, FSMTForConditionalGeneration, GenerationConfig

# fairseq's names of activation functions, and those of transformers for the same.
_ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_fast": "gelu_new",
    "gelu_accurate": "gelu_new",
    "tanh": "tanh",
    "linear": "linear",
}

_EMBEDDINGS = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "decoder.output_projection.weight")
# Markers of formats, and tables that follow from their size: FSMT has its own.
_NOT_TRAINED = ("version", "_float_tensor")


def import_fsmt() -> tuple[type[FSMTConfig], type[FSMTForConditionalGeneration], type[GenerationConfig]]:
    """The classes of transformers that are needed.

    Raises:
        UserError: it is not installed, or cannot be imported.
    """
    try:
        from transformers import FSMTConfig, FSMTForConditionalGeneration, GenerationConfig
    except Exception as error:
        # A library that transformers tries may fail in any way.
        raise UserError(_import_problem(error)) from error
    return FSMTConfig, FSMTForConditionalGeneration, GenerationConfig


def _import_problem(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == "transformers":
        return "--to huggingface needs the library transformers: pip install transformers"
    try:
        importlib.import_module("torchaudio")
    except ModuleNotFoundError:
        pass
    except Exception:
        return (
            "--to huggingface: transformers cannot be imported, because the installed torchaudio does not fit this "
            "version of torch; nothing here needs it: pip uninstall torchaudio"
        )
    return f"--to huggingface: the library transformers cannot be imported ({error})"


@torch.no_grad()
def fsmt_model(trained: TrainedModel) -> FSMTForConditionalGeneration:
    """Convert, in float32 and evaluation mode; its ``generation_config`` follows fairseq's search.

    One table is stored where encoder, decoder and output have the same one; three otherwise, since FSMT cannot tie
    two of them.

    Raises:
        UserError: FSMT has not what this model has, or transformers is missing.
    """
    config_class, model_class, generation_class = import_fsmt()
    if trained.kind == "language_model":
        raise UserError(f"{trained.path}: is a language model, and Hugging Face's FSMT translates only")
    stock, _ = build_stock(trained)
    fairseq_model: Any = stock
    problem = _unsupported(fairseq_model)
    if problem:
        raise UserError(f"{trained.path}: {problem}, which Hugging Face's FSMT has not; --to ctranslate2 may have it")
    state = {
        name: tensor for name, tensor in fairseq_model.state_dict().items() if name.split(".")[-1] not in _NOT_TRAINED
    }
    first, *others = (state[name] for name in _EMBEDDINGS)
    config = _config(config_class, trained, fairseq_model, tied=all(torch.equal(first, other) for other in others))
    model = model_class(config)
    _load(trained.path, model, state)
    model.generation_config = generation_class(**generation_settings(trained.decoding, fairseq_model))
    return model.eval()


def _unsupported(model: Any) -> str | None:
    """What stops a model of fairseq, as a part of a sentence; None if nothing does."""
    cfg = model.cfg
    for side, layers in (("encoder", cfg.encoder), ("decoder", cfg.decoder)):
        if layers.normalize_before:
            return f"normalises before each block (--{side}-normalize-before)"
        if layers.learned_pos:
            return f"learned its positions (--{side}-learned-pos)"
    if cfg.no_token_positional_embeddings:
        return "knows no positions (--no-token-positional-embeddings)"
    if cfg.layernorm_embedding:
        return "normalises its embeddings (--layernorm-embedding)"
    if cfg.adaptive_input or cfg.adaptive_softmax_cutoff is not None:
        return "splits its vocabulary by frequency (--adaptive-input, --adaptive-softmax-cutoff)"
    if cfg.no_cross_attention or cfg.cross_self_attention:
        return "has another attention to the source (--no-cross-attention, --cross-self-attention)"
    sizes = {cfg.encoder.embed_dim, cfg.decoder.embed_dim, cfg.decoder.input_dim, cfg.decoder.output_dim}
    if len(sizes) > 1:
        return (
            f"has more than one size of vectors (--encoder-embed-dim {cfg.encoder.embed_dim}, --decoder-embed-dim "
            f"{cfg.decoder.embed_dim}, --decoder-input-dim {cfg.decoder.input_dim}, --decoder-output-dim "
            f"{cfg.decoder.output_dim})"
        )
    if cfg.activation_fn not in _ACTIVATIONS:
        return f"uses --activation-fn {cfg.activation_fn}"
    return None


def _config(config_class: type[FSMTConfig], trained: TrainedModel, model: Any, tied: bool) -> FSMTConfig:
    assert trained.source_dictionary is not None
    cfg = model.cfg
    return config_class(
        langs=[str(trained.text.source_lang), str(trained.text.target_lang)],
        src_vocab_size=len(trained.source_dictionary),
        tgt_vocab_size=len(trained.target_dictionary),
        activation_function=_ACTIVATIONS[cfg.activation_fn],
        d_model=cfg.encoder.embed_dim,
        # The tables grow by themselves, so the larger one serves both.
        max_position_embeddings=max(model.max_positions()),
        # Layers of the model: some may have been pruned (--encoder-layers-to-keep).
        encoder_layers=len(model.encoder.layers),
        encoder_ffn_dim=cfg.encoder.ffn_embed_dim,
        encoder_attention_heads=cfg.encoder.attention_heads,
        encoder_layerdrop=cfg.encoder.layerdrop,
        decoder_layers=len(model.decoder.layers),
        decoder_ffn_dim=cfg.decoder.ffn_embed_dim,
        decoder_attention_heads=cfg.decoder.attention_heads,
        decoder_layerdrop=cfg.decoder.layerdrop,
        dropout=cfg.dropout,
        attention_dropout=cfg.attention_dropout,
        activation_dropout=cfg.activation_dropout,
        scale_embedding=not cfg.no_scale_embedding,
        tie_word_embeddings=tied,
    )


def _load(path: str, model: FSMTForConditionalGeneration, state: dict[str, Tensor]) -> None:
    loaded = model.load_state_dict({f"model.{name}": tensor for name, tensor in state.items()}, strict=False)
    missing = [name for name in loaded.missing_keys if "embed_positions" not in name]
    if missing or loaded.unexpected_keys:
        name = (missing + loaded.unexpected_keys)[0].removeprefix("model.")
        where = "FSMT has and the model has not" if missing else "the model has and FSMT has not"
        raise UserError(f"{path}: cannot be exported to Hugging Face's FSMT: {name} is a tensor that {where}")


def generation_settings(decoding: Decoding, model: Any) -> dict[str, Any]:
    """fairseq's search as arguments of ``generate``.

    Both divide the sum of log-probabilities by ``length ** penalty``, the end symbol counted in the length, and stop
    when as many hypotheses as the beam is wide have ended.

    Args:
        decoding: the defaults of the search.
        model: fairseq's.
    """
    source_positions, target_positions = model.max_positions()
    longest = min(int(decoding.max_len_a * source_positions) + decoding.max_len_b, target_positions - 1)
    return {
        "num_beams": decoding.beam,
        "length_penalty": decoding.lenpen,
        "early_stopping": True,
        "do_sample": False,
        # The symbol at the start and that at the end count.
        "max_length": longest + 2,
        # fairseq ends no sentence at once, and never writes padding.
        "min_new_tokens": 1,
        "suppress_tokens": [1],
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": 2,
    }
