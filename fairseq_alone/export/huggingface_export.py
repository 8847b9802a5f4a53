"""``--to huggingface``: FSMT with safetensors, fairseq's search as its settings, and a tokenizer beside it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fairseq_alone.errors import UserError
from fairseq_alone.export.fsmt import fsmt_model, import_fsmt
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.inference.backend import Backend, Scorer
from fairseq_alone.inference.trained_model import TextSettings, TrainedModel
from fairseq_alone.text_files import write_json, write_text

if TYPE_CHECKING:
    from transformers import FSMTForConditionalGeneration

OPTIONS = ("quantization",)
IS_FILE = False

_TYPES = {"fp32": torch.float32, "fp16": torch.float16}

# Copied beside the model; it is never imported from here.
_TOKENIZER = Path(__file__).with_name("tokenization_fairseq.py")
_SUBWORD_FILES = {"subword-nmt": "codes", "sentencepiece": "sentencepiece.model"}


def write(trained: TrainedModel, output: Path, options: ExportOptions) -> None:
    """Write the folder; see :class:`~fairseq_alone.export.targets.Target`.

    Args:
        trained: a Transformer for translation or headlines.
        output: an empty folder.
        options: ``quantization`` is ``fp32`` (default) or ``fp16``.
    """
    kind = options.quantization or "fp32"
    if kind not in _TYPES:
        raise UserError(f"--quantization {kind}: --to huggingface knows {' and '.join(_TYPES)}")
    text = trained.text
    if text.subwords != "none" and text.subword_model is None:
        raise UserError(f"{trained.path}: is without its subwords; give --bpe-codes or --sentencepiece")
    model: Any = fsmt_model(trained)
    model.to(_TYPES[kind])
    for name, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise UserError(f"{trained.path}: {name} has values that {kind} cannot hold; use --quantization fp32")
    with _quiet():
        model.save_pretrained(output)
    # safetensors writes for the owner alone.
    shutil.copymode(output / "config.json", output / "model.safetensors")
    _write_tokenizer(trained, output)
    write_text(str(output / "README.md"), readme(trained, kind))


def open_backend(trained: TrainedModel, output: Path) -> Backend:
    """What was written, in float32; see :class:`~fairseq_alone.export.targets.Target`."""
    from fairseq_alone.inference.huggingface_backend import HuggingFaceBackend

    return HuggingFaceBackend(_load(output), trained)


def open_scorer(trained: TrainedModel, output: Path) -> Scorer:
    """Refuses: there are no language models here."""
    raise UserError(f"{trained.path}: is a language model, and Hugging Face's FSMT translates only")


def readme(trained: TrainedModel, kind: str) -> str:
    """The README of the folder: what it is, what it needs, and code that uses it.

    Args:
        trained: what was exported.
        kind: the type of the numbers, ``fp32`` or ``fp16``.
    """
    libraries = ["transformers", "torch"]
    libraries += ["sacremoses"] if trained.text.tokenizer == "moses" else []
    libraries += [trained.text.subwords] if trained.text.subwords != "none" else []
    # A CPU computes slowly in half precision.
    dtype = ', dtype="float32"' if kind == "fp16" else ""
    return f"""# {trained.text.source_lang} to {trained.text.target_lang}

A translation model of fairseq (FSMT, {kind}), exported by fairseq-alone. `pip install {" ".join(libraries)}`, then:

```python
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

folder = "."  # where this file is
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
model = AutoModelForSeq2SeqLM.from_pretrained(folder{dtype})
batch = tokenizer(["A sentence.", "And one more."], padding=True, return_tensors="pt")
output = model.generate(**batch)
print(tokenizer.batch_decode(output, skip_special_tokens=True))
```

`trust_remote_code` runs `tokenization_fairseq.py` of this folder, which splits text as the model was trained.
`generation_config.json` has the search of fairseq: beam, length penalty, and when it stops.
"""


def _load(folder: Path) -> FSMTForConditionalGeneration:
    _, model_class, _ = import_fsmt()
    with _quiet():
        # Numbers in fp16 are read as they are; a CPU computes faster, and more exactly, in float32.
        return model_class.from_pretrained(str(folder), dtype=torch.float32, local_files_only=True).eval()


def _write_tokenizer(trained: TrainedModel, output: Path) -> None:
    text = trained.text
    source, target = trained.source_dictionary, trained.target_dictionary
    assert source is not None
    model: Any = trained.model
    symbols = {"source": source.symbols} | ({"target": target.symbols} if target.symbols != source.symbols else {})
    write_json(str(output / "symbols.json"), symbols)
    if text.subword_model is not None:
        (output / _SUBWORD_FILES[text.subwords]).write_bytes(text.subword_model)
    shutil.copyfile(_TOKENIZER, output / _TOKENIZER.name)
    settings = {
        "tokenizer_class": "FairseqTokenizer",
        "auto_map": {"AutoTokenizer": [f"{_TOKENIZER.stem}.FairseqTokenizer", None]},
        "model_max_length": model.max_positions()[0],
        "text": _text_settings(text),
        **{"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
    }
    write_json(str(output / "tokenizer_config.json"), settings)


def _text_settings(text: TextSettings) -> dict[str, Any]:
    names = ("source_lang", "target_lang", "tokenizer", "tokenizer_lang", "subwords", "target_units")
    return {
        **{name: getattr(text, name) for name in names},
        "whole": list(text.whole),
        "headline_text": text.headline_text,
        "lowercase": text.lowercase,
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No bars and notes of transformers: what it does takes a moment."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
