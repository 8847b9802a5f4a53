"""``fairseq-alone report``: sizes and settings of trained models, side by side."""

import argparse
import functools
import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fairseq_alone.cli.checkpoints import (
    DECODER_INPUT,
    ENCODER_INPUT,
    OUTPUTS,
    split_name,
    tie_groups,
    tied_modules,
)
from fairseq_alone.cli.product_bytes import COMPACT, product_bytes
from fairseq_alone.cli.report_source import read_report_source
from fairseq_alone.errors import UserError
from fairseq_alone.model_settings import model_settings, tying

if TYPE_CHECKING:
    from torch import Tensor

# Entries of a state dict that are no parameters: markers of formats and tables of fixed positions.
_NO_PARAMETER = re.compile(r"(.*\.)?(version|filter_version|embed_positions\._float_tensor|embed_positions\.weights)")

# The matrix of a regularised projection stands before an output embedding, a tree of words above one; neither is one.
_SQUARE, _TREE = "square", "tree"

# Rows of the table: the forms of `product_bytes`, what --cost loads, and what it measures (unit, words).
_FORMS = {
    "trained": "MB of embedding / all, fp32",
    "stock": "  stock fairseq's file",
    **{kind: f"  compact {kind}" for kind in COMPACT},
}
_COMPACT_NOTE = "compact: without the dictionary and the settings, which are about 0.1 MB"
_LOADED = {"checkpoint": "as given:", "compact": "compact fp16:"}
_COSTS = {
    "load_seconds": (1, "loaded in s"),
    "peak_bytes": (1e6, "peak memory, MB"),
    "libraries_bytes": (1e6, "libraries alone, MB"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The models, and for whom to print."""
    parser.add_argument(
        "checkpoints",
        nargs="+",
        metavar="MODEL",
        help="checkpoints, compact files, bundles or runs of a recipe (WORK/runs/RUN), one column each",
    )
    parser.add_argument(
        "--cost",
        action="store_true",
        help="load each model, and a compact file of it, in a fresh process until it can decode: time and memory",
    )
    parser.add_argument(
        "--data", metavar="DATA_BIN", help="for --cost: the binarised data, if it is not where the training found it"
    )
    parser.add_argument("--json", action="store_true", help="print a list with one object for each checkpoint")


def run(args: argparse.Namespace) -> None:
    """Print the report."""
    if args.data and not args.cost:
        raise UserError("--data is for --cost only")
    descriptions = [describe(path) for path in args.checkpoints]
    if args.cost:
        for description in descriptions:
            description["cost"] = _cost(description["path"], args.data, getattr(args, "user_dir", None))
    print(json.dumps(descriptions, indent=2) if args.json else _table(descriptions))


def describe(path: str) -> dict:
    """Sizes and settings of one checkpoint, compact file, bundle or run, all of them JSON values.

    Returns:
        * ``path``, ``file_bytes`` on disk (of a bundle all files, of a run the checkpoint that is decoded with), and
          ``model_bytes``, the model's tensors as they stand in the file, without the optimizer's state;
        * ``updates``, None where the file does not keep them, and ``averaged_from``, the names of the files that
          ``average`` read, or None;
        * ``parameters``: trained values by group (``embedding``, ``encoder``, ``decoder``, ``other``, ``total``), tied
          ones once. The embedding includes the output layer; learned positions belong to the encoder and decoder;
        * ``product_bytes``, see :func:`~fairseq_alone.cli.product_bytes.product_bytes`;
        * ``conventional_embedding_parameters``: what tables for the same vocabulary, D_e and tying need; and
          ``embedding_ratio``, the embedding's parameters divided by that;
        * ``settings``, with None for what does not apply; ``vocabulary`` has ``source`` and ``target``;
        * ``ties``, a list of ``{"names": all names of one tensor, "stored": those in the file}``. A tied output layer
          is always ``decoder.output_projection``, also where it only borrows an embedding's tensors.

    Raises:
        UserError: the file is unreadable or its embedding is of an unknown kind.
    """
    source = read_report_source(path)
    checkpoint = source.checkpoint
    model, flags = checkpoint["model"], model_settings(checkpoint)
    groups = tie_groups(path, checkpoint)
    embeddings = {
        module: _embedding(path, module, model)
        for module in (ENCODER_INPUT, DECODER_INPUT, *OUTPUTS)
        if any(split_name(name)[0] == module and split_name(name)[1] not in (_SQUARE, _TREE) for name in model)
    }
    trees = [tensor for name, tensor in model.items() if split_name(name) == (OUTPUTS[0], _TREE)]
    if trees:
        # A tree of V words has V - 1 nodes.
        embeddings["decoder.output_embedding"]["vocabulary"] += 1
    if ENCODER_INPUT not in embeddings and DECODER_INPUT not in embeddings:
        raise UserError(
            f"{path}: holds no {ENCODER_INPUT} and no {DECODER_INPUT}, so it is no model that this command knows"
        )

    parameters = {"embedding": 0, "encoder": 0, "decoder": 0, "other": 0}
    for names in groups:
        tensor = model[names[0]]
        if tensor.is_floating_point() and not _NO_PARAMETER.fullmatch(names[0]) and not _is_fixed(names[0], flags):
            parameters[_group(names[0])] += tensor.numel()
    parameters["total"] = sum(parameters.values())

    tied = tied_modules(flags)
    conventional = sum(
        embedding["vocabulary"] * embedding["embed_dim"]
        for module, embedding in embeddings.items()
        if module not in tied or module == next(other for other in embeddings if other in tied)
    )
    distinct = {names[0]: model[names[0]] for names in groups}
    described = _settings(flags, embeddings, next(iter(trees), None))
    words = described["vocabulary"]["target"]
    return {
        "path": path,
        "file_bytes": source.file_bytes,
        "model_bytes": source.model_bytes,
        "updates": source.updates,
        "averaged_from": (checkpoint.get("extra_state") or {}).get("averaged_from"),
        "parameters": parameters,
        "conventional_embedding_parameters": conventional,
        "embedding_ratio": parameters["embedding"] / conventional,
        "product_bytes": product_bytes(distinct, flags, conventional, words),
        "settings": described,
        "ties": _ties(model, groups, tied),
    }


def _cost(path: str, data: str | None, user_dir: str | None) -> dict[str, dict[str, float]]:
    """What loading costs: ``checkpoint``, and ``compact``, a file in half precision made of it."""
    from fairseq_alone.export.compact_export import write
    from fairseq_alone.export.targets import ExportOptions
    from fairseq_alone.inference.loading_cost import loading_cost
    from fairseq_alone.inference.opening import Given, open_model

    with tempfile.TemporaryDirectory() as folder:
        compact = Path(folder, "model.safetensors")
        write(open_model(path, Given(data)), compact, ExportOptions())
        return {
            "checkpoint": loading_cost(path, data, user_dir),
            "compact": loading_cost(str(compact), None, user_dir),
        }


def _embedding(path: str, module: str, model: dict) -> dict:
    """Kind, vocabulary size, D_e and the kind's own settings of one embedding or output layer, from its tensors."""
    from fairseq_alone.models.families import FAMILIES

    tensors = {split_name(name)[1]: tensor for name, tensor in model.items() if split_name(name)[0] == module}
    for family in FAMILIES.values():
        try:
            description = family.describe(tensors)
        except ValueError as error:
            raise UserError(f"{path}: {module}: {error}") from error
        if description is not None:
            return {"embedding": family.name, "variant": family.variant(description), **description}
    raise UserError(f"{path}: {module} is no embedding of a known kind ({', '.join(FAMILIES)})")


def _settings(flags: dict, embeddings: dict, tree: "Tensor | None") -> dict:
    # The embeddings of one model differ in their vocabularies only, but for an output layer of another kind.
    sides = [embeddings.get(ENCODER_INPUT), embeddings.get(DECODER_INPUT) or embeddings.get(ENCODER_INPUT)]
    first = next(embedding for embedding in sides if embedding)
    rows = [name for name in rows_of_settings() if name not in ("arch", "tying", "fixed_base")]
    settings = {name: first.get(name) for name in (*rows, "variant")}
    bits = flags.get("embedding_bits") or 32
    settings["embedding_bits"] = None if bits == 32 else bits
    settings |= _output_layer(flags, embeddings, tree, first["embedding"])
    source, target = (embedding["vocabulary"] if embedding else None for embedding in sides)
    settings["vocabulary"] = {"source": source, "target": target}
    fixed_base = bool(flags.get("alone_fix_base")) if first["embedding"] == "alone" else None
    return {"arch": flags.get("arch"), "tying": tying(flags), **settings, "fixed_base": fixed_base}


def _output_layer(flags: dict, embeddings: dict, tree: "Tensor | None", family: str) -> dict:
    """What the output layer is where it is no softmax over vectors like those of the input."""
    layer = flags.get("output_layer") or "softmax"
    if tree is not None:
        kind = flags.get("hierarchical_tree") or "huffman"
        return {"output_layer": f"hierarchical, {kind}", "tree_bytes": tree.nbytes}
    if layer in ("softmax", family):
        return {}
    variant = next((embeddings[module]["variant"] for module in OUTPUTS if module in embeddings), "")
    return {"output_layer": f"{layer}, {variant}" if variant else layer}


def _is_fixed(name: str, flags: dict) -> bool:
    """Whether a tensor is a base vector ``o`` that ``--alone-fix-base`` leaves untrained."""
    return bool(flags.get("alone_fix_base")) and split_name(name)[0] is not None and split_name(name)[1] == "o"


def _group(name: str) -> str:
    if split_name(name)[0]:
        return "embedding"
    side = name.split(".")[0]
    return side if side in ("encoder", "decoder") else "other"


def _ties(model: dict, groups: list[list[str]], tied: tuple[str, ...]) -> list[dict]:
    """Names of one tensor: those in the file, and those dropped on saving because the settings restore them."""
    ties = []
    for stored in groups:
        module, tensor_name = split_name(stored[0])
        names = list(stored)
        if module in tied and not _NO_PARAMETER.fullmatch(stored[0]):
            # An output layer has one name only; without a tensor in the file it is the tied projection's.
            output = next((split_name(name)[0] for name in stored if split_name(name)[0] in OUTPUTS), OUTPUTS[0])
            names = [f"{other}.{tensor_name}" for other in tied if other not in OUTPUTS or other == output]
        if len(names) > 1 and model[stored[0]].is_floating_point():
            ties.append({"names": names, "stored": stored})
    return ties


def rows_of_settings() -> dict[str, str]:
    """The settings of a description and what they are called: those of every model, then those of each family."""
    from fairseq_alone.models.families import FAMILIES

    rows = {name: name for name in ("arch", "embedding", "tying")}
    rows.update(vocabulary="vocabulary V", embed_dim="D_e", embedding_bits="trained for bits")
    rows.update(output_layer="output layer", tree_bytes="bytes of its tree")
    for family in FAMILIES.values():
        rows.update(family.report_rows)
    return {**rows, "fixed_base": "o untrained"}


def _table(descriptions: list[dict]) -> str:
    """One column for each checkpoint, one row for each property that any of them has; the ties below."""
    names = _column_names([description["path"] for description in descriptions])
    rows = [["", *names]]

    def add(label: str, cell: Callable[[dict], str | None]) -> None:
        cells = [cell(description) for description in descriptions]
        if any(text is not None for text in cells):
            rows.append([label, *("-" if text is None else text for text in cells)])

    for setting, label in rows_of_settings().items():
        add(label, functools.partial(_setting_text, setting))
    add("updates", _updates_text)
    add(
        "mean of checkpoints",
        lambda description: description["averaged_from"] and str(len(description["averaged_from"])),
    )
    add("embedding parameters", lambda description: f"{description['parameters']['embedding']:,}")
    add("  a conventional table's", lambda description: f"{description['conventional_embedding_parameters']:,}")
    add("  ratio", lambda description: f"{description['embedding_ratio']:.3f}")
    for group in ("encoder", "decoder", "other", "total"):
        show = group != "other" or any(description["parameters"]["other"] for description in descriptions)
        if show:
            add(f"{group} parameters", functools.partial(_parameters_text, group))
    add("model in the file, MB", lambda description: f"{description['model_bytes'] / 1e6:.2f}")
    add("file, MB", lambda description: f"{description['file_bytes'] / 1e6:.2f}")
    for form, label in _FORMS.items():
        add(label, functools.partial(_product_text, form))
    if "cost" in descriptions[0]:
        for form, label in _LOADED.items():
            for key, (unit, text) in _COSTS.items():
                add(f"{label} {text}", functools.partial(_cost_text, form, key, unit))

    widths = [max(len(row[column]) for row in rows) for column in range(len(names) + 1)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    lines += ["", _COMPACT_NOTE]
    ties: dict[str, list[str]] = {}
    for name, description in zip(names, descriptions, strict=True):
        ties.setdefault("\n".join(f"  {_tie_text(tie)}" for tie in description["ties"]), []).append(name)
    for text, tied_names in ties.items():
        lines += ["", f"one tensor in {', '.join(tied_names)}:", text] if text else []
    return "\n".join(lines)


def _updates_text(description: dict) -> str | None:
    return None if description["updates"] is None else f"{description['updates']:,}"


def _product_text(form: str, description: dict) -> str | None:
    sizes = description["product_bytes"][form]
    return sizes and f"{sizes['embedding'] / 1e6:.2f} / {sizes['model'] / 1e6:.2f}"


def _cost_text(form: str, key: str, unit: float, description: dict) -> str:
    return f"{description['cost'][form][key] / unit:.2f}"


def _parameters_text(group: str, description: dict) -> str:
    return f"{description['parameters'][group]:,}"


def _setting_text(setting: str, description: dict) -> str | None:
    value = description["settings"][setting]
    if isinstance(value, dict):  # the vocabularies
        sizes = {size for size in value.values() if size is not None}
        return f"{sizes.pop():,}" if len(sizes) == 1 else f"{value['source']:,} / {value['target']:,}"
    if isinstance(value, bool):
        return "yes" if value else None
    if isinstance(value, float):
        return f"{value:g}"
    return None if value is None else str(value)


def _tie_text(tie: dict) -> str:
    return " = ".join(name if name in tie["stored"] else f"{name} (not in the file)" for name in tie["names"])


def _column_names(paths: list[str]) -> list[str]:
    """The paths, without the folder that all share."""
    folder = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    return [os.path.relpath(os.path.abspath(path), folder) for path in paths]
