"""``fairseq-alone translate``: translations or headlines of sentences, of a file, or at a prompt."""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO

from tqdm import tqdm

from fairseq_alone.cli.model_arguments import add_backend, load_model
from fairseq_alone.cli.source_arguments import add_source
from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.files import require_apart
from fairseq_alone.text_files import new_text_files, read_lines, read_standard_input

if TYPE_CHECKING:
    from fairseq_alone.inference.hypothesis import Hypothesis
    from fairseq_alone.inference.search_settings import SearchSettings
    from fairseq_alone.inference.translator import TooLong, Translator

# Decoded before their output is written: sentences of similar length make a batch, so more are faster.
_LINES_AT_A_TIME = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``translate``."""
    parser.usage = (
        'fairseq-alone translate MODEL ["A SENTENCE." ...] [flags]\n'
        "       fairseq-alone translate MODEL [flags] < FILE > FILE"
    )
    add_source(parser, also=", a folder for CTranslate2")
    parser.add_argument(
        "text", nargs="*", metavar="SENTENCE", help="what to translate; default: standard input, a sentence a line"
    )
    parser.add_argument("--input", metavar="FILE", help="translate this file, a sentence a line")
    parser.add_argument("--output", metavar="FILE", help="write to this file, whole or not at all")
    search = parser.add_argument_group("search", "what is not given is as the recipe evaluates, or fairseq's default")
    search.add_argument("--beam", type=int, metavar="N", help="size of the beam")
    search.add_argument("--nbest", type=int, metavar="N", help="N hypotheses of each sentence: SCORE<TAB>TEXT lines")
    search.add_argument("--lenpen", type=float, metavar="X", help="exponent of the length penalty")
    search.add_argument("--max-len-a", type=float, metavar="A", help="the longest output has A * source + B units")
    search.add_argument("--max-len-b", type=int, metavar="B", help="see --max-len-a")
    search.add_argument("--sentences", type=int, metavar="N", help="decoded at a time; changes no result")
    search.add_argument(
        "--desired-length",
        type=int,
        metavar="N",
        help="length of the headlines, in characters or pieces, for models with a length encoding",
    )
    search.add_argument(
        "--unnormalized-scores",
        action="store_true",
        help="take scores for log-probabilities as they are, of a model trained with self-normalisation",
    )
    add_backend(parser)
    parser.add_argument(
        "--json", action="store_true", help="a JSON object a line: line, source, hypotheses (text, score, units)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    _take_sentences_anywhere(parser)


def _take_sentences_anywhere(parser: argparse.ArgumentParser) -> None:
    """Let sentences stand behind flags, too, and behind ``--`` even such as begin with a dash.

    argparse itself takes all of a list of words from one place.
    """
    original = parser.parse_known_args

    def parse_known_args(args: Sequence[str], namespace: Any = None) -> tuple[Any, list[str]]:
        words, last = list(args), []
        if "--" in words:
            at = words.index("--")
            words, last = words[:at], words[at + 1 :]
        namespace, rest = original(words, namespace)
        namespace.text = [*namespace.text, *(word for word in rest if not word.startswith("-")), *last]
        return namespace, [word for word in rest if word.startswith("-")]

    # argparse has no hook for it.
    parser.parse_known_args = parse_known_args  # type: ignore[method-assign, assignment]


def run(args: argparse.Namespace) -> None:
    """Translate."""
    from fairseq_alone.inference.translator import Translator

    if args.text and args.input:
        raise UserError(f"--input {args.input} contradicts the sentences that were given")
    require_apart([("--output", args.output)], [args.input, args.model])
    # Bad text is refused before the model is loaded, which takes longer.
    lines = _lines(args)
    translator = load_model(args)
    if not isinstance(translator, Translator):
        raise UserError(f"{args.model}: is a language model, which translates nothing; see fairseq-alone perplexity")
    settings = _settings(args, translator)
    with _output(args.output) as file:
        if lines is None:
            _answer(translator, settings, args, file)
        else:
            _translate(translator, settings, args, lines, file)


def _lines(args: argparse.Namespace) -> list[str] | None:
    """The text; None when it is typed at a prompt."""
    if args.text:
        for text in args.text:
            # A short sentence may be a file's name, so it is translated, but not without a word.
            if os.path.isfile(text):
                print(f"note: {text} is also a file; --input {text} translates what is in it", file=sys.stderr)
        return args.text
    if args.input is not None:
        return read_lines(args.input)
    return None if sys.stdin.isatty() else read_standard_input()


def _settings(args: argparse.Namespace, translator: Translator) -> SearchSettings:
    from fairseq_alone.inference.search_settings import SearchSettings

    settings = SearchSettings(
        beam=args.beam,
        nbest=1 if args.nbest is None else args.nbest,
        lenpen=args.lenpen,
        sentences=args.sentences,
        max_len_a=args.max_len_a,
        max_len_b=args.max_len_b,
        desired_length=args.desired_length,
    )
    try:
        translator.search(settings)
    except SettingError as error:
        raise UserError(f"--{error.setting.replace('_', '-')} {error.problem}") from None
    return settings


@contextlib.contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    """A file that appears when all is written, or standard output, in UTF-8 whatever the locale."""
    if path is not None:
        with new_text_files(path) as [file]:
            yield file
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    yield sys.stdout


def _translate(
    translator: Translator, settings: SearchSettings, args: argparse.Namespace, lines: list[str], file: TextIO
) -> None:
    skipped = 0
    with tqdm(
        total=len(lines), desc="translating", unit="sentence", disable=True if args.quiet else None, leave=False
    ) as bar:
        for start in range(0, len(lines), _LINES_AT_A_TIME):
            texts = lines[start : start + _LINES_AT_A_TIME]
            too_long: list[TooLong] = []
            found = translator.decode(texts, settings, bar.update, too_long.append)
            for line in too_long:
                tqdm.write(str(replace(line, number=start + line.number)), file=sys.stderr)
            skipped += len(too_long)
            file.writelines(f"{line}\n" for line in _printed(texts, found, args, start))
            file.flush()
    if skipped:
        are = "line was" if skipped == 1 else "lines were"
        print(f"{skipped} {are} too long for the model, and left empty", file=sys.stderr)


def _answer(translator: Translator, settings: SearchSettings, args: argparse.Namespace, file: TextIO) -> None:
    """Translate what is typed, a line at a time, until the end (Ctrl-D)."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 (gives input() its history and keys)
    print("Type a sentence and press Enter; Ctrl-D ends.", file=sys.stderr)
    for number in itertools.count():
        try:
            text = input("> " if sys.stdout.isatty() else "")
        except (EOFError, KeyboardInterrupt):
            print(file=sys.stderr)
            return
        found = translator.decode([text], settings, too_long=lambda line: print(line, file=sys.stderr))
        file.writelines(f"{line}\n" for line in _printed([text], found, args, number))
        file.flush()


def _printed(texts: list[str], found: list[list[Hypothesis]], args: argparse.Namespace, start: int) -> Iterator[str]:
    """Lines of the output: for each text as many as for any other."""
    for number, (text, hypotheses) in enumerate(zip(texts, found, strict=True), start=start + 1):
        if args.json:
            values = [{"text": one.text, "score": one.score, "units": one.units} for one in hypotheses]
            yield json.dumps({"line": number, "source": text, "hypotheses": values}, ensure_ascii=False)
        elif args.nbest is None:
            yield hypotheses[0].text if hypotheses else ""
        else:
            yield from (f"{one.score:.4f}\t{one.text}" for one in hypotheses)
            yield from ["\t"] * (args.nbest - len(hypotheses))
