"""The folder that ``export --to ctranslate2`` writes: CTranslate2's own files, and ours beside them.

``fairseq_alone.json`` says how text is split and how to decode, how long inputs may be, and what the other files'
checksums are. Nothing here needs torch or fairseq.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fairseq_alone.errors import UserError
from fairseq_alone.inference.manifest import SUBWORDS
from fairseq_alone.inference.trained_model import Decoding, Kind, TextSettings

SETTINGS = "fairseq_alone.json"
README = "README.md"

#: CTranslate2's name of the padding symbol.
PAD = "<blank>"

_FORMAT = 1


@dataclass(frozen=True)
class CTranslate2Settings:
    """What CTranslate2's own files do not say.

    Args:
        kind: what the model does.
        max_input_length: the longest input, in units with the end symbol; for a language model with the start symbol.
        max_output_length: the longest output, in units with the end symbol; for a language model as the input.
        start: the symbols that the decoder starts with: the end symbol, for some language models after another one.
        text: how text is split.
        decoding: defaults of the search.
    """

    kind: Kind
    max_input_length: int
    max_output_length: int
    start: tuple[str, ...]
    text: TextSettings
    decoding: Decoding


def is_ctranslate2_folder(path: str) -> bool:
    """Whether the folder says of itself that it is one."""
    try:
        return bool(_load(Path(path) / SETTINGS).get("target") == "ctranslate2")
    except (OSError, UserError):
        return False


def write_settings(folder: Path, settings: CTranslate2Settings) -> None:
    """Write our files; those of CTranslate2 must be there, since their checksums go in."""
    text = asdict(settings.text)
    model = text.pop("subword_model")
    name = SUBWORDS.get(settings.text.subwords)
    if name is not None and model is not None:
        (folder / name).write_bytes(model)
    files = {file.name: _checksum(file) for file in sorted(folder.iterdir()) if file.name != README}
    values = {
        "target": "ctranslate2",
        "format": _FORMAT,
        "kind": settings.kind,
        "max_input_length": settings.max_input_length,
        "max_output_length": settings.max_output_length,
        "start": settings.start,
        "text": text,
        "decoding": asdict(settings.decoding),
        "sha256": files,
    }
    (folder / SETTINGS).write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_settings(path: str) -> CTranslate2Settings:
    """Read our files, and compare the checksums of all others.

    Raises:
        UserError: names the file that is missing, damaged, foreign or of a newer version.
    """
    folder = Path(path)
    file = folder / SETTINGS
    if not file.is_file():
        raise UserError(f"{path}: has no {SETTINGS}; is it a folder that export --to ctranslate2 wrote?")
    values = _load(file)
    if values.get("target") != "ctranslate2":
        raise UserError(f"{file}: is not of a folder that export --to ctranslate2 wrote")
    if not isinstance(values.get("format"), int) or values["format"] > _FORMAT:
        raise UserError(f"{file}: has format {values.get('format')}, and this version knows {_FORMAT}; upgrade it")
    try:
        _compare(folder, values["sha256"])
        return _settings(folder, values)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: is damaged ({error})") from error


def _settings(folder: Path, values: dict[str, Any]) -> CTranslate2Settings:
    text = dict(values["text"])
    text["whole"] = tuple(text["whole"])
    name = SUBWORDS.get(text["subwords"])
    return CTranslate2Settings(
        values["kind"],
        values["max_input_length"],
        values["max_output_length"],
        tuple(values["start"]),
        TextSettings(**text, subword_model=(folder / name).read_bytes() if name and name in values["sha256"] else None),
        Decoding(**values["decoding"]),
    )


def _load(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file}: is damaged ({error})") from error
    if not isinstance(values, dict):
        raise UserError(f"{file}: is damaged (no settings in it)")
    return values


def _compare(folder: Path, checksums: dict[str, str]) -> None:
    for name, checksum in checksums.items():
        if not (folder / name).is_file():
            raise UserError(f"{folder / name}: is missing; export the model again")
        if _checksum(folder / name) != checksum:
            raise UserError(f"{folder / name}: is damaged or was changed; export the model again")


def _checksum(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
