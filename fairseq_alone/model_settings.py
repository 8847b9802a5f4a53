"""The settings of a model as a checkpoint keeps them: which of them change what its tensors mean, and which differ."""

import argparse
import re

#: Settings that change what the tensors mean. Others (learning rate, dropout, folders) may differ. Every family of
#: embeddings adds its own when it is registered.
TENSOR_SETTINGS = {
    *("arch", "task", "activation_fn", "layernorm_embedding", "no_scale_embedding", "tie_adaptive_weights"),
    *("output_layer", "hierarchical_tree"),
}
_PREFIXES = ("encoder_", "decoder_", "share_", "length_", "no_token_positional")
_TRAINING_ONLY = re.compile(r"(en|de)coder_(layerdrop|embed_path)|decoder_dropout_(in|out)")

# What --tie-embeddings calls them.
_TYING_VALUES = {"three-way": "all", "two-way": "decoder", "none": "none"}


def model_settings(checkpoint: dict) -> dict:
    """The settings of the model by flag name, without dashes: ``{"arch": ..., "encoder_embed_dim": ..., ...}``.

    Settings kept as a dictionary of groups, as configuration files give them, are flattened to the same names.
    """
    config = checkpoint.get("cfg") or {}
    model = config.get("model") if isinstance(config, dict) else None
    if model is None:
        model = checkpoint.get("args")  # before fairseq 0.10
    return settings_of(model)


def settings_of(model: argparse.Namespace | dict | None) -> dict:
    """What :func:`model_settings` gives, from the settings of the model alone: a Namespace, a dictionary or None."""
    values = vars(model) if isinstance(model, argparse.Namespace) else (model or {})
    settings = {}
    for name, value in values.items():
        if isinstance(value, dict):
            settings.update({f"{name}_{inner}": inner_value for inner, inner_value in value.items()})
        else:
            settings[name] = value
    settings.setdefault("arch", settings.pop("_name", None))
    return settings


def tying(settings: dict) -> str:
    """How the embeddings are shared: ``"three-way"``, ``"two-way"`` (decoder input and output) or ``"none"``."""
    if settings.get("share_all_embeddings") or settings.get("merge_src_tgt_embed"):
        return "three-way"
    return "two-way" if settings.get("share_decoder_input_output_embed") else "none"


def differing_settings(first: dict, second: dict) -> list[tuple[str, object, object]]:
    """The settings that both models have, that change what the tensors mean, and that differ.

    Args:
        first: settings by name, as :func:`model_settings` gives them.
        second: those of the other model.

    Returns:
        For each its flag and the two values, sorted by name.
    """
    return [
        ("--" + name.replace("_", "-"), first[name], second[name])
        for name in sorted(first.keys() & second.keys())
        if _changes_tensors(name) and first[name] != second[name]
    ]


def differing_flags(first: dict, second: dict) -> list[tuple[str, object, object]]:
    """What :func:`differing_settings` gives, with fairseq's flags for sharing as the one flag ``--tie-embeddings``."""
    sharing = ("--share-", "--merge-src-tgt-embed")
    differing = [entry for entry in differing_settings(first, second) if not entry[0].startswith(sharing)]
    tyings = _TYING_VALUES[tying(first)], _TYING_VALUES[tying(second)]
    return differing + ([("--tie-embeddings", *tyings)] if tyings[0] != tyings[1] else [])


def _changes_tensors(name: str) -> bool:
    return (name in TENSOR_SETTINGS or name.startswith(_PREFIXES)) and not _TRAINING_ONLY.fullmatch(name)
