"""``fairseq-alone bundle``: one folder with all that the use of a trained model needs, to keep or to pass on."""

from __future__ import annotations

import argparse
import os
import re

from fairseq_alone.cli.source_arguments import add_source, given_of
from fairseq_alone.errors import UserError
from fairseq_alone.files import require_new_folder

# Names of licences have dots, too, but in numbers: Apache-2.0.
_FILE_NAME = re.compile(r"(?!https?:)\S*(/\S*|\.[A-Za-z]{1,5})|LICEN[CS]E|COPYING")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is bundled, to where, and what its maker says about it."""
    add_source(parser)
    parser.add_argument("output", metavar="OUT", help="folder to write: a new one, or an empty one")
    parser.add_argument(
        "--quantization",
        metavar="TYPE",
        help="type of the numbers: fp32 (the default, exact), fp16, int8 or int4; see docs/compact-format.md",
    )
    parser.add_argument("--embedding-quantization", metavar="TYPE", help="that of the embedding alone")
    parser.add_argument(
        "--licence", metavar="TEXT|FILE", help="licence of the model: a file, or the text itself; becomes LICENSE"
    )
    parser.add_argument("--note", metavar="TEXT", help="a paragraph for the model card, README.md")
    parser.add_argument("--quiet", action="store_true", help="do not say what was written")


def run(args: argparse.Namespace) -> None:
    """Write the bundle; say which files it has."""
    from fairseq_alone.export.bundle import BundleOptions, write_bundle
    from fairseq_alone.export.compact_export import require_types
    from fairseq_alone.export.targets import ExportOptions
    from fairseq_alone.inference.opening import open_model

    licence, note = _said(args)
    options = BundleOptions(args.quantization or "fp32", args.embedding_quantization, licence, note)
    # Before the model is read, which takes longer.
    require_types(ExportOptions(options.quantization, options.embedding_quantization))
    require_new_folder(args.output)
    try:
        write_bundle(open_model(args.model, given_of(args)), args.output, options)
    except OSError as error:
        raise UserError(f"{args.output}: cannot be written ({error.strerror or error})") from error
    if not args.quiet:
        _tell(args.output)


def _said(args: argparse.Namespace) -> tuple[str | None, str | None]:
    """Licence and note: what was given, else those of the bundle that this one is made from."""
    from fairseq_alone.inference.manifest import LICENCE, is_bundle, read_manifest

    licence, note = args.licence, args.note
    if licence is not None and os.path.isfile(licence):
        licence = _read_text("--licence", licence)
    elif licence is not None and _FILE_NAME.fullmatch(licence.strip()):
        raise UserError(f"--licence {licence}: there is no such file")
    if licence is not None and not licence.strip():
        raise UserError("--licence: the text of the licence is empty")
    if is_bundle(args.model):
        manifest = read_manifest(args.model)
        note = manifest["note"] if note is None else note
        if licence is None and LICENCE in manifest["files"]:
            licence = _read_text("MODEL", os.path.join(args.model, LICENCE))
    return licence, note


def _read_text(flag: str, path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{flag} {path}: cannot be read as text ({error})") from error


def _tell(folder: str) -> None:
    from fairseq_alone.cli.markdown import markdown_table

    sizes = {name: os.path.getsize(os.path.join(folder, name)) for name in sorted(os.listdir(folder))}
    rows = [[name, f"{size:,}"] for name, size in {**sizes, "together": sum(sizes.values())}.items()]
    print(markdown_table([[folder, "bytes"], *rows], 1))
