"""Where parallel text comes from: a folder, two files, the download of WMT16, or the demo's grammar."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.recipes.checksum import cksum
from fairseq_alone.recipes.hold_out import hold_out
from fairseq_alone.recipes.prepare_options import PrepareOptions
from fairseq_alone.recipes.steps import SPLITS, say
from fairseq_alone.recipes.values import positive

_ENGLISH_GERMAN = {("en", "de"), ("de", "en")}
_HELD_OUT = 1000


@dataclass(frozen=True)
class Corpus:
    """Parallel text.

    Args:
        source_lang, target_lang: suffixes of the two sides.
        settings: lines that tell it apart from other text.
        folder: with train, valid and test; None: ``make`` makes it, in the work folder.
        make: fills an empty folder.
    """

    source_lang: str
    target_lang: str
    settings: list[str]
    folder: Path | None
    make: Callable[[Path], None] | None


def find_corpus(preset: str, options: PrepareOptions) -> Corpus:
    """The corpus of a preset.

    Raises:
        UserError: a file is missing, or the preset does not go with what was given.
    """
    langs = options.source_lang or "en", options.target_lang or "de"
    if options.hold_out is not None and len(options.corpus) != 2:
        raise UserError("--hold-out belongs to two parallel files: fairseq-alone prepare WORK text.en text.de")
    if not options.corpus:
        if preset not in ("demo", "wmt16"):
            raise UserError(f"--preset {preset} needs a CORPUS: fairseq-alone prepare WORK CORPUS")
        if langs not in _ENGLISH_GERMAN:
            raise UserError(
                f"--preset {preset} has English and German only, but --source-lang is {langs[0]} and --target-lang "
                f"{langs[1]}"
            )
        return Corpus(*langs, [], None, _demo if preset == "demo" else functools.partial(_wmt16, options.mirror))
    if preset == "demo":
        raise UserError(f"--preset demo makes its own data; drop {' '.join(options.corpus)} or take --preset small")
    if len(options.corpus) == 2:
        return _two_files([Path(name).absolute() for name in options.corpus], options)
    if len(options.corpus) > 2:
        raise UserError(f"CORPUS is a folder or two parallel files, got {len(options.corpus)} names")
    folder = Path(options.corpus[0]).absolute()
    names = [f"{split}.{lang}" for split in SPLITS for lang in langs]
    for name in names:
        if not (folder / name).is_file():
            raise UserError(f"{folder / name}: there is no such file")
    # Checksum and size, so that changed data is noticed and a moved folder does not matter.
    return Corpus(*langs, [f"{name}={cksum(folder / name)}" for name in names], folder, None)


def _two_files(files: list[Path], options: PrepareOptions) -> Corpus:
    langs = [file.suffix.removeprefix(".") for file in files]
    for file, lang, given in zip(files, langs, (options.source_lang, options.target_lang), strict=True):
        if not file.is_file():
            raise UserError(f"{file}: there is no such file")
        if not lang:
            raise UserError(f"{file}: its name must end in .LANGUAGE, for example text.en")
        if given not in (None, lang):
            raise UserError(f"{file} ends in .{lang}, but the flag says {given}")
    if langs[0] == langs[1]:
        raise UserError(f"both files end in .{langs[0]}, which is the language: give one file of each language")
    count = positive("--hold-out", options.hold_out or _HELD_OUT)
    settings = [f"text.{lang}={cksum(file)}" for file, lang in zip(files, langs, strict=True)]
    make = functools.partial(hold_out, files, langs, count)
    return Corpus(langs[0], langs[1], [*settings, f"HOLD_OUT={count}"], None, make)


def _demo(folder: Path) -> None:
    from fairseq_alone.recipes import demo_corpus

    say("generating the demo corpus")
    demo_corpus.write(demo_corpus.generate(demo_corpus.SIZES, demo_corpus.SEED), str(folder))


def _wmt16(mirror: str | None, folder: Path) -> None:
    from fairseq_alone.recipes.download_wmt16 import download_wmt16

    # The archives stay beside the text until all of it is there, so that a broken download goes on.
    download_wmt16(folder.parent / "download", folder, mirror)
