"""The target ``ctranslate2``: a folder that CTranslate2 loads, and that translates from raw text with this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairseq_alone.errors import UserError
from fairseq_alone.export.ctranslate2_readme import readme
from fairseq_alone.export.ctranslate2_spec import (
    language_model_spec,
    position_rows,
    require_known,
    translation_spec,
    vocabulary,
)
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.export.text_code import example
from fairseq_alone.inference.backend import Backend, Scorer
from fairseq_alone.inference.ctranslate2_backend import (
    ctranslate2_library,
    open_ctranslate2,
    open_ctranslate2_scorer,
)
from fairseq_alone.inference.ctranslate2_folder import README, CTranslate2Settings, write_settings
from fairseq_alone.inference.trained_model import TrainedModel

OPTIONS = ("quantization", "max_input_length")
IS_FILE = False

#: CTranslate2's types of numbers. A type that a processor lacks is converted on loading.
QUANTIZATIONS = (
    *("float32", "float16", "bfloat16", "int16"),
    *("int8", "int8_float32", "int8_float16", "int8_bfloat16"),
)


def write(trained: TrainedModel, output: Path, options: ExportOptions) -> None:
    """See :class:`~fairseq_alone.export.targets.Target`.

    The sinusoidal or learned positions are stored, as many rows as ``max_input_length`` says (units with the end
    symbol); without it all that the model has. The decoder keeps as many, and no fewer than the longest output of such
    an input needs by the decoding defaults.
    """
    ctranslate2_library()
    quantization = options.quantization or "float32"
    if quantization not in QUANTIZATIONS:
        raise UserError(f"--quantization {quantization}: CTranslate2 has {', '.join(QUANTIZATIONS)}")
    require_known(trained.path, trained.model_name, trained.config["model"])
    spec, settings = _language_model(trained, options) if _scores(trained) else _translation(trained, options)
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(output))
    write_settings(output, settings)
    dictionary = trained.source_dictionary or trained.target_dictionary
    text = readme(settings, quantization, example(dictionary.symbols))
    (output / README).write_text(text, encoding="utf-8")


def open_backend(trained: TrainedModel, output: Path) -> Backend:
    """See :class:`~fairseq_alone.export.targets.Target`."""
    return open_ctranslate2(str(output))[2]


def open_scorer(trained: TrainedModel, output: Path) -> Scorer:
    """See :class:`~fairseq_alone.export.targets.Target`."""
    return open_ctranslate2_scorer(str(output))[1]


def _scores(trained: TrainedModel) -> bool:
    return trained.kind == "language_model"


def _translation(trained: TrainedModel, options: ExportOptions) -> tuple[Any, CTranslate2Settings]:
    from fairseq_alone.export.stock import build_stock

    model: Any
    model, stock = build_stock(trained)
    longest = _longest(position_rows(model.encoder), options)
    decoding = trained.decoding
    output = int(decoding.max_len_a * longest + decoding.max_len_b) + 1
    rows = longest, min(position_rows(model.decoder), max(longest, output))
    spec = translation_spec(trained.path, model, stock.config["model"], rows)
    spec.register_source_vocabulary(vocabulary(trained.path, trained.source_dictionary))
    spec.register_target_vocabulary(vocabulary(trained.path, trained.target_dictionary))
    start = spec.config.decoder_start_token
    return spec, CTranslate2Settings(trained.kind, *rows, (start,), trained.text, decoding)


def _language_model(trained: TrainedModel, options: ExportOptions) -> tuple[Any, CTranslate2Settings]:
    from fairseq_alone.export.stock import build_stock

    model: Any
    model, stock = build_stock(trained)
    rows = _longest(position_rows(model.decoder), options)
    spec = language_model_spec(trained.path, model, stock.config["model"], rows)
    spec.register_vocabulary(vocabulary(trained.path, trained.target_dictionary))
    # fairseq starts a text with the end of the one before, and where it was told to with a symbol before that.
    start: tuple[str, ...] = (spec.config.eos_token,)
    if trained.config["task"].get("add_bos_token"):
        start = (spec.config.bos_token, *start)
    else:
        spec.config.bos_token = spec.config.eos_token
    return spec, CTranslate2Settings(trained.kind, rows, rows, start, trained.text, trained.decoding)


def _longest(available: int, options: ExportOptions) -> int:
    longest = options.max_input_length
    if longest is None:
        return available
    if not 2 <= longest <= available:
        raise UserError(f"--max-input-length {longest}: must be between 2 and {available}, the model's positions")
    return longest
