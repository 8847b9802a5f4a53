"""``fairseq-alone export``: a trained model in the format of another tool, and the proof that it does the same."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from fairseq_alone.cli.markdown import markdown_table
from fairseq_alone.cli.source_arguments import add_source, given_of
from fairseq_alone.errors import UserError
from fairseq_alone.files import folder_replaced_on_success, replaced_on_success, require_apart

if TYPE_CHECKING:
    from fairseq_alone.export.targets import ExportOptions, Target
    from fairseq_alone.export.verification import Verification
    from fairseq_alone.inference.trained_model import TrainedModel

# As export/targets.py has them, which imports fairseq; a test compares the two.
TARGETS = ("fairseq", "ctranslate2", "huggingface", "compact", "torchscript")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is exported, to where, in which format, and how it is verified."""
    add_source(parser)
    parser.add_argument("output", metavar="OUT", help="folder, or file of a format of one file, to write")
    parser.add_argument("--to", required=True, choices=TARGETS, help="the format; see docs/export.md")
    parser.add_argument("--quantization", metavar="TYPE", help="type of the numbers; each format has its own names")
    parser.add_argument("--embedding-quantization", metavar="TYPE", help="that of the embedding alone")
    parser.add_argument(
        "--max-input-length", type=int, metavar="N", help="store positions for sentences of at most N units only"
    )
    parser.add_argument(
        "--sentences", metavar="FILE", help="verify with these, one a line; else with words of the dictionary"
    )
    parser.add_argument("--no-verify", action="store_true", help="do not translate by both ways and compare")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no table; warnings still")


def run(args: argparse.Namespace) -> None:
    """Export; says what was written and whether it does what the model did."""
    from fairseq_alone.export.targets import target_of
    from fairseq_alone.inference.manifest import LICENCE

    if args.no_verify and args.sentences:
        raise UserError("--sentences contradicts --no-verify: give one of the two")
    target = target_of(args.to)
    options = _options(args, target)
    found = None
    # The new files get their name when they have been verified. An interruption leaves nothing.
    with _new_output(target, args) as temporary:
        trained, sentences = _read(args)
        with _disk_errors(args.output):
            target.write(trained, temporary, options)
            if trained.licence is not None and not target.IS_FILE:
                (temporary / LICENCE).write_text(trained.licence, encoding="utf-8")
        if not args.no_verify:
            found = _verify(args, target, trained, temporary, sentences)
    _tell(args, found)


def _options(args: argparse.Namespace, target: Target) -> ExportOptions:
    from fairseq_alone.export.targets import ExportOptions

    options = ExportOptions(args.quantization, args.embedding_quantization, args.max_input_length)
    for name, value in asdict(options).items():
        if value is not None and name not in target.OPTIONS:
            known = ", ".join(_flag(option) for option in target.OPTIONS) or "none of its own"
            raise UserError(f"{_flag(name)}: --to {args.to} has no such setting; it has {known}")
    if options.max_input_length is not None and options.max_input_length < 1:
        raise UserError(f"--max-input-length must be at least 1, got {options.max_input_length}")
    return options


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@contextlib.contextmanager
def _new_output(target: Target, args: argparse.Namespace) -> Iterator[Path]:
    if target.IS_FILE:
        require_apart([("OUT", args.output)], [args.model, args.sentences, args.bpe_codes, args.sentencepiece])
    replaced = replaced_on_success if target.IS_FILE else folder_replaced_on_success
    with contextlib.ExitStack() as stack:
        with _disk_errors(args.output):
            temporary = stack.enter_context(replaced(args.output))
        yield Path(temporary)


@contextlib.contextmanager
def _disk_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error


def _read(args: argparse.Namespace) -> tuple[TrainedModel, list[str] | None]:
    """The model, and the units of the sentences that were given; None if none were."""
    from fairseq_alone.export.sentences import read_sentences
    from fairseq_alone.inference.opening import open_model

    # A run is averaged first, which is told there.
    with contextlib.redirect_stdout(sys.stderr):
        trained = open_model(args.model, given_of(args))
    return trained, read_sentences(args.sentences, trained) if args.sentences else None


def _verify(
    args: argparse.Namespace, target: Target, trained: TrainedModel, output: Path, sentences: list[str] | None
) -> Verification:
    from fairseq_alone.export.verification import SENTENCES, concern, verify_scores, verify_translation

    if trained.kind == "language_model":
        found = verify_scores(trained, target.open_scorer(trained, output), sentences)
    else:
        total = 2 * (SENTENCES if sentences is None else len(sentences))
        hidden = True if args.quiet else None
        with tqdm(total=total, desc="verifying", unit="sentence", disable=hidden, leave=False) as bar:
            found = verify_translation(trained, target.open_backend(trained, output), sentences, bar.update)
    # The type that a format has of its own accord.
    problem = concern(found, args.quantization or getattr(target, "DEFAULT_QUANTIZATION", None))
    if problem:
        print(f"fairseq-alone export: warning: {args.output}: {problem}", file=sys.stderr)
    return found


def _tell(args: argparse.Namespace, found: Verification | None) -> None:
    sizes = _sizes(args.output)
    if args.json:
        summary = {"output": args.output, "to": args.to, "files": sizes, "bytes": sum(sizes.values())}
        print(json.dumps({**summary, "verification": asdict(found) if found else None}, indent=1))
        return
    if args.quiet:
        return
    rows = [[name, f"{size:,}"] for name, size in sizes.items()]
    if len(rows) > 1:
        rows.append(["together", f"{sum(sizes.values()):,}"])
    print(markdown_table([[args.output, "bytes"], *rows], 1))
    if found:
        equal = f"{found.equal} of {found.sentences} ({found.equal / found.sentences:.1%})"
        difference = f"{found.largest_score_difference:.2g}"
        print()
        print(
            markdown_table(
                [
                    ["verified with", "equal results", "largest difference of scores"],
                    ["sentences of your file" if args.sentences else "words of the dictionary", equal, difference],
                ],
                1,
            )
        )
        if found.equal < found.sentences:
            print(
                "Results may differ where two are nearly as likely: the numbers are rounded, or added in another order."
            )


def _sizes(output: str) -> dict[str, int]:
    """The bytes of each file, by its name."""
    path = Path(output)
    if path.is_file():
        return {path.name: os.path.getsize(path)}
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {str(file.relative_to(path)): os.path.getsize(file) for file in files}
