"""A bundle: one folder with all that the use of a trained model needs, and nothing that runs code when it is read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fairseq_alone import __version__
from fairseq_alone.export import compact_export
from fairseq_alone.export.model_card import model_card
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.files import folder_replaced_on_success
from fairseq_alone.inference.manifest import LICENCE, MODEL, SUBWORDS, write_manifest
from fairseq_alone.inference.text_pipeline import subwords_missing
from fairseq_alone.inference.trained_model import TrainedModel
from fairseq_alone.modules.compact_file import compact_bytes

CARD = "README.md"

# Translations of the test set: whoever passes on a model may not pass on its data.
_NOT_PASSED_ON = ("examples",)


@dataclass(frozen=True)
class BundleOptions:
    """What the maker of a bundle decides.

    Args:
        quantization: of the tensors, see :mod:`fairseq_alone.modules.quantization`; float32 is exact.
        embedding_quantization: that of the embedding alone; None is that of its training, or else the same.
        licence: the text of a licence, or None.
        note: a paragraph for the model card, or None.
    """

    quantization: str = "fp32"
    embedding_quantization: str | None = None
    licence: str | None = None
    note: str | None = None


def write_bundle(trained: TrainedModel, output: str, options: BundleOptions) -> None:
    """Write a bundle. The same model and options give the same bytes, whoever writes them, when and where.

    Args:
        trained: what is in it.
        output: the folder, which must not be there yet.
        options: the maker's.

    Raises:
        UserError: there is something at ``output``, the subwords are not known, a quantization is unknown, or a tensor
            is not finite.
    """
    if trained.text.subword_model is None and trained.text.subwords != "none":
        raise subwords_missing(trained.text, trained.path)
    with folder_replaced_on_success(output) as temporary:
        folder = Path(temporary)
        quantization = ExportOptions(options.quantization, options.embedding_quantization)
        compact_export.write(trained, folder / MODEL, quantization)
        if trained.text.subword_model is not None:
            _write(folder / SUBWORDS[trained.text.subwords], trained.text.subword_model)
        if options.licence is not None:
            _write(folder / LICENCE, f"{options.licence.strip()}\n".encode())
        description = describe(trained, options)
        card = model_card(trained, description, compact_bytes(folder / MODEL), options.licence is not None)
        _write(folder / CARD, card.encode())
        write_manifest(folder, description)


def describe(trained: TrainedModel, options: BundleOptions) -> dict[str, Any]:
    """What the manifest says of a model, as JSON values."""
    stored = compact_export.stored_types(trained, options.quantization, options.embedding_quantization)
    text = asdict(trained.text)
    del text["subword_model"]
    return {
        "package_version": __version__,
        "kind": trained.kind,
        "source_lang": trained.text.source_lang,
        "target_lang": trained.text.target_lang,
        "architecture": trained.architecture,
        "quantization": stored.others,
        "embedding_quantization": stored.embedding,
        "rounded": stored.rounded,
        "text": text,
        "decoding": asdict(trained.decoding),
        "scores": {name: value for name, value in trained.scores.items() if name not in _NOT_PASSED_ON},
        "note": options.note,
    }


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
