"""``manifest.json`` of a bundle: what the bundle is, and the checksum of every file in it, its own included.

A file of the folder that the manifest does not name is never opened, so it may stay: people and their systems leave
``.DS_Store`` or ``.gitattributes`` behind.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from fairseq_alone.errors import UserError

NAME, MODEL, LICENCE = "manifest.json", "model.safetensors", "LICENSE"
FORMAT = "fairseq-alone-bundle"
FORMAT_VERSION = 1

#: The file of a subword model, by its kind.
SUBWORDS = {"subword-nmt": "subwords.codes", "sentencepiece": "sentencepiece.model"}

# What is hashed in the place of the manifest's own checksum.
_NO_CHECKSUM = "0" * 64

# No separator, no drive and no leading dot: nothing that leads out of the folder.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")


def is_bundle(path: str) -> bool:
    """Whether a folder has a manifest."""
    return Path(path, NAME).is_file()


def write_manifest(folder: Path, description: dict[str, Any]) -> None:
    """Write the manifest of all files that are in the folder. The same files and description give the same bytes.

    Args:
        folder: with all other files of the bundle.
        description: JSON values.
    """
    files = {path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in sorted(folder.iterdir())}
    manifest = {"checksum": _NO_CHECKSUM, "format": FORMAT, "format_version": FORMAT_VERSION, **description}
    text = json.dumps({**manifest, "files": files}, indent=1, ensure_ascii=False) + "\n"
    checksum = hashlib.sha256(text.encode()).hexdigest()
    (folder / NAME).write_bytes(text.replace(_NO_CHECKSUM, checksum, 1).encode())


def read_manifest(path: str) -> dict[str, Any]:
    """Read the manifest of a bundle and check every file that it names: about 1 ms for each MB.

    Raises:
        UserError: a file is missing, damaged or unreadable, or the folder is no bundle or one of a newer format; the
            sentence names the file.
    """
    manifest = _read(Path(path, NAME))
    for name, expected in manifest["files"].items():
        file = Path(path, name)
        # A manifest that is consistent with itself may still have been made to read other files than the bundle's.
        if not _PLAIN_NAME.fullmatch(name):
            raise UserError(f"{Path(path, NAME)}: names a file outside of the bundle, {name}")
        if not file.is_file():
            raise UserError(f"{file}: is missing, though {NAME} names it")
        try:
            if file.stat().st_size != expected["bytes"] or _sha256(file) != expected["sha256"]:
                raise UserError(f"{file}: is damaged: its size or its checksum is not that of {NAME}")
        except OSError as error:
            raise UserError(f"{file}: cannot be read ({error.strerror or error})") from error
    return manifest


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes()
        manifest = json.loads(text)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise UserError(f"{path}: is damaged, or no manifest of a bundle") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UserError(f"{path}: is no manifest of a bundle that fairseq-alone bundle wrote")
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path}: has version {version} of the format, but this fairseq_alone reads version {FORMAT_VERSION}; "
            "install a newer one"
        )
    checksum = str(manifest.get("checksum"))
    without = text.replace(checksum.encode(), _NO_CHECKSUM.encode(), 1)
    if hashlib.sha256(without).hexdigest() != checksum:
        raise UserError(f"{path}: is damaged: its checksum does not fit what it holds")
    if not _lists_files(manifest.get("files")):
        raise UserError(f"{path}: is damaged: it does not list the files of the bundle")
    return manifest


def _lists_files(files: object) -> bool:
    return isinstance(files, dict) and all(
        isinstance(entry, dict) and entry.keys() >= {"bytes", "sha256"} for entry in files.values()
    )


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
