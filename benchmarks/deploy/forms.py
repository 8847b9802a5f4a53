"""The forms that a trained model is shipped in, and what its size on disk is."""

from dataclasses import dataclass
from pathlib import Path

from fairseq_alone.export.targets import ExportOptions, target_of
from fairseq_alone.inference.trained_model import TrainedModel


@dataclass(frozen=True)
class Form:
    """One way to ship a model.

    Args:
        title: in the table.
        engine: what decodes it: ``"fairseq-generate"``, ``"fairseq"`` (the same search without the command) or
            ``"ctranslate2"``.
        target: of ``fairseq-alone export``; None for the checkpoint of the run.
        options: of the export.
    """

    title: str
    engine: str
    target: str | None = None
    options: ExportOptions = ExportOptions()


#: The longest source of Multi30k has 47 subwords, and no translation is longer than 200.
_LONGEST = 256

FORMS = {
    "checkpoint": Form("averaged checkpoint, `fairseq-generate`", "fairseq-generate"),
    "stock": Form("stock fairseq export", "fairseq", "fairseq"),
    "ct2-float32": Form("CTranslate2 float32", "ctranslate2", "ctranslate2", ExportOptions("float32")),
    "ct2-int8": Form("CTranslate2 int8", "ctranslate2", "ctranslate2", ExportOptions("int8")),
    "ct2-cut": Form(
        f"CTranslate2 int8_float16, positions cut to {_LONGEST}",
        "ctranslate2",
        "ctranslate2",
        ExportOptions("int8_float16", max_input_length=_LONGEST),
    ),
    "fp16": Form("compact fp16", "fairseq", "compact", ExportOptions("fp16")),
    "int8": Form("compact int8", "fairseq", "compact", ExportOptions("int8")),
    "int8-int4": Form(
        "compact int8, embedding int4", "fairseq", "compact", ExportOptions("int8", embedding_quantization="int4")
    ),
    "int4": Form("compact int4", "fairseq", "compact", ExportOptions("int4")),
}


def write(trained: TrainedModel, form: Form, folder: Path) -> Path:
    """Export into a folder, and tell where it went."""
    assert form.target is not None
    target = target_of(form.target)
    output = folder / ("model.safetensors" if target.IS_FILE else "model")
    if not target.IS_FILE:
        output.mkdir(parents=True)
    else:
        folder.mkdir(parents=True, exist_ok=True)
    target.write(trained, output, form.options)
    return output


def model_bytes(path: Path) -> int:
    """What is shipped: the file, or all files of the folder but those that only tell people about it."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files if file.name != "README.md")
