"""``README.md`` of a bundle: what the model is, how it is used, how large and how good it is, and what it cannot do."""

from __future__ import annotations

import json
from typing import Any

from fairseq_alone.cli.markdown import markdown_table
from fairseq_alone.inference.trained_model import TextSettings, TrainedModel
from fairseq_alone.modules.compact_file import bytes_under
from fairseq_alone.modules.filters import UNUSED_SETTINGS
from fairseq_alone.modules.quantization import QUANTIZATIONS

_TITLES = {
    "translation": "Translation from {source} to {target}",
    "headlines": "Headlines of {source} text",
    "language_model": "A language model",
}

_COMMANDS = {
    "translation": (
        'fairseq-alone translate BUNDLE "A sentence."',
        "fairseq-alone translate BUNDLE < text.{source} > text.{target}",
    ),
    "headlines": (
        'fairseq-alone translate BUNDLE "A sentence of an article."',
        "fairseq-alone translate BUNDLE < articles.txt > headlines.txt",
    ),
    "language_model": ("fairseq-alone perplexity BUNDLE < text.txt",),
}

_CALLS = {
    "translation": 'fairseq_alone.load("BUNDLE").translate(["A sentence."])',
    "headlines": 'fairseq_alone.load("BUNDLE").translate(["A sentence of an article."])',
    "language_model": 'fairseq_alone.load("BUNDLE").score(["A sentence."])',
}

# What rounding may change.
_OUTPUT = {"translation": "translations", "headlines": "headlines", "language_model": "probabilities"}

_NUMBERS = {
    "fp32": "float32",
    "fp16": "float16",
    "int8": "whole numbers of 8 bits with a scale for each row",
    "int4": "whole numbers of 4 bits with a scale for each 32 values",
}


def model_card(trained: TrainedModel, description: dict[str, Any], sizes: dict[str, int], has_licence: bool) -> str:
    """The card, in Markdown.

    Args:
        trained: the model.
        description: what the manifest says of it.
        sizes: bytes of the model's file by what they are for.
        has_licence: whether there is a file LICENSE.
    """
    languages = {"source": trained.text.source_lang or "source", "target": trained.text.target_lang or "target"}
    commands = list(_COMMANDS[trained.kind])
    if trained.config["model"].get("length_encoding", "none") != "none":
        commands.append("fairseq-alone translate BUNDLE --desired-length 50 < articles.txt > headlines.txt")
    parts = [
        f"# {_TITLES[trained.kind].format(**languages)}",
        f"A model of fairseq_alone {description['package_version']}, architecture `{trained.architecture}`.",
        *([description["note"].strip()] if description["note"] else []),
        "## Use",
        "Install fairseq_alone with its extra `export` (from its repository), then, where BUNDLE is this folder:",
        _code(*(command.format(**languages) for command in commands)),
        "In Python:",
        _code("import fairseq_alone", _CALLS[trained.kind]),
        "## Size",
        _sizes(trained, description, sizes),
        "## Settings",
        _table(("setting", "value"), _settings(trained)),
        "## Results",
        *_results(trained, description),
        "## Limits",
        _limits(trained),
        "## Licence",
        "See the file LICENSE."
        if has_licence
        else "None was chosen yet. Whoever made this model must choose one, and say what it was trained on, before "
        "others may use it.",
    ]
    return "\n\n".join(parts) + "\n"


def _code(*lines: str) -> str:
    return "\n".join(f"    {line}" for line in lines)


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    return markdown_table([list(head), *map(list, rows)], 1)


def _sizes(trained: TrainedModel, description: dict[str, Any], sizes: dict[str, int]) -> str:
    rows = [(part, f"{size:,}") for part, size in {**sizes, "together": sum(sizes.values())}.items() if size]
    body, embedding = (_NUMBERS[description[name]] for name in ("quantization", "embedding_quantization"))
    numbers = (
        f"Its numbers are {body}." if body == embedding else f"Its numbers are {body}; the embedding's {embedding}."
    )
    if description["rounded"]:
        numbers += f" Since the training they were rounded to {' and '.join(description['rounded'])}."
        numbers += f" Rounding may change {_OUTPUT[trained.kind]}; measure it before you rely on it."
    # A tied tensor is one parameter; one that is not trained has no gradient.
    values = sum(parameter.numel() for parameter in trained.model.parameters() if parameter.requires_grad)
    numbers = f"It has {values:,} trained values. {numbers}"
    types = [(kind, bytes_under(trained.model.state_dict(), kind)) for kind in QUANTIZATIONS]
    others = [[kind, f"{found['embedding']:,}", f"{sum(found.values()):,}"] for kind, found in types]
    in_types = markdown_table([["bytes with all numbers in", "embedding", "whole model"], *others], 1)
    return f"{_table(('model.safetensors', 'bytes'), rows)}\n\n{numbers}\n\n{in_types}"


def _settings(trained: TrainedModel) -> list[tuple[str, str]]:
    text = trained.text
    units = "characters" if text.target_units == "characters" else _units(text)
    rows = [(f"{units} of the target", f"{len(trained.target_dictionary):,}")]
    if trained.source_dictionary is not None:
        rows.insert(0, (f"{_units(text)} of the source", f"{len(trained.source_dictionary):,}"))
    rows += [("tokeniser", text.tokenizer), ("subwords", text.subwords)]
    if trained.kind == "headlines":
        rows.append(("units of the headlines", text.target_units))
    if trained.kind != "language_model":
        rows += [("beam", str(trained.decoding.beam)), ("length penalty", f"{trained.decoding.lenpen:g}")]
    settings = {**trained.config["model"]}
    unused = {f"alone_{name}" for name in UNUSED_SETTINGS.get(settings.get("alone_filter", ""), ())}
    shown = (name for name in sorted(settings) if name not in unused and _is_shown(name, settings[name]))
    return rows + [(f"`{name}`", f"`{json.dumps(settings[name])}`") for name in shown]


def _units(text: TextSettings) -> str:
    return "words" if text.subwords == "none" else "subwords"


def _is_shown(name: str, value: object) -> bool:
    sizes = ("embed_dim", "ffn_embed_dim", "layers", "attention_heads", "hidden_size")
    sides = tuple(f"{side}_{size}" for side in ("encoder", "decoder") for size in sizes)
    # The families' own flags begin with their names.
    of_families = ("alone_", "codes_", "differentiated_", "factorized_", "length_", "share_")
    if name == "output_layer":
        return value != "softmax"
    if name == "embedding_bits":
        return value != 32
    return value not in (None, False) and (name in (*sides, "hierarchical_tree") or name.startswith(of_families))


def _results(trained: TrainedModel, description: dict[str, Any]) -> list[str]:
    scores = description["scores"]
    rows = [
        (f"{name} ({scores[name]['signature']})", f"{scores[name]['score']:.2f}")
        for name in ("BLEU", "chrF")
        if name in scores
    ]
    measured = scores.get("language_model", {})
    rows += [
        (f"perplexity of {split} ({found['tokens']:,} {_units(trained.text)})", str(found["perplexity"]))
        for split, found in measured.items()
    ]
    if not rows:
        return ["Nothing was measured."]
    sentences = f"{scores['sentences']:,} sentences of the " if "sentences" in scores else ""
    said = f"Of the {sentences}test set of the recipe that trained the model"
    said += ", decoded as above with the numbers of the training, before rounding." if description["rounded"] else "."
    return [said, _table(("score", "value"), rows)]


def _limits(trained: TrainedModel) -> str:
    model: Any = trained.model
    longest = model.max_positions()
    said = (
        "The model knows what its training data showed it, in the language and the style of that data; what it writes "
        "may be wrong, and must be read before it is relied on."
    )
    if trained.kind == "language_model":
        return said
    said += f" A sentence may have at most {longest[0] - 1} {_units(trained.text)};"
    return f"{said} text of several sentences must be split."
