"""Data for headlines: check, clean, split (source: subwords, headline: characters), binarise.

=====================  ===========================================================================================
clean/                 checked text: train, valid and test, each .source and .title
references/            test.title.0 ...: the references for scoring, one file for each (four for DUC)
tokenized/             Moses tokens of the source (not for NAMAS data, which has tokens, nor for SentencePiece)
units/                 source in subwords, headlines in characters; codes or sentencepiece.model beside it
data-bin/              for fairseq-train, with one joined dictionary
=====================  ===========================================================================================
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.recipes import subwords
from fairseq_alone.recipes.headline_corpus import HeadlineCorpus, find_headline_corpus
from fairseq_alone.recipes.preparation import Preparation, binarise, report
from fairseq_alone.recipes.prepare_options import PrepareOptions
from fairseq_alone.recipes.presets import read_preset
from fairseq_alone.recipes.steps import SPLITS, outcome, remove, require_same_lines, say
from fairseq_alone.recipes.tools import tool, tool_into
from fairseq_alone.recipes.values import one_of, positive

_SOURCE, _TITLE = _SIDES = ("source", "title")
_OUTCOMES = ("clean", "references", "tokenized", "units", "codes", "sentencepiece.model", "data-bin")


def prepare_headlines(work: Path, options: PrepareOptions) -> Preparation:
    """The preparation of sentences and headlines.

    Raises:
        UserError: a choice is out of its range, or a file of the corpus is missing.
    """
    preset = read_preset("headlines", options.preset or "small", options.own_presets(work))
    units = one_of("--units", options.units or "characters", ("characters", "sentencepiece"))
    merges = positive("--merges", options.merges or preset["merges"])
    workers, lowercase = options.processes, not options.keep_case
    if len(options.corpus) != 1:
        raise UserError("give the folder with the headlines: fairseq-alone prepare WORK CORPUS")
    duc = Path(options.duc).absolute() if options.duc else None
    corpus = find_headline_corpus(Path(options.corpus[0]).absolute(), duc)
    settings = [f"PRESET={preset.name}", f"SOURCE_LANG={_SOURCE}", f"TARGET_LANG={_TITLE}", f"TARGET_UNITS={units}"]
    settings += [f"MERGES={merges}", f"LOWERCASE={int(lowercase)}", f"FORM={corpus.form}", *corpus.settings()]

    def steps(work: Path, write_settings: Callable[[], None]) -> None:
        if not (work / "clean").exists():
            say(f"checking {corpus.folder}")
            _clean(work, corpus, lowercase, write_settings)
        text = work / "clean"
        if units == "characters":
            if corpus.form != "namas":
                text = _tokenized(work, workers)
            if not (work / "codes").exists():
                say(f"learning {merges} BPE merges of the source with subword-nmt")
                with outcome(work / "codes", is_folder=False) as part:
                    train = [text / f"train.{_SOURCE}"]
                    subwords.learn_merges(train, part, merges, workers, work / "prepare.codes.log")
        elif not (work / "sentencepiece.model").exists():
            say(f"learning {merges} joined pieces with SentencePiece")
            subwords.learn_pieces(work, [f"clean/train.{side}" for side in _SIDES], merges, workers)
        if not (work / "units").exists():
            say("splitting into units")
            _split(work, text, units, workers)
        binarise(work, work / "units", *_SIDES, workers)
        report(work, work / "units", *_SIDES, f"{units}, MERGES={merges}")

    return Preparation(settings, _OUTCOMES, steps, preset.notes)


def _clean(work: Path, corpus: HeadlineCorpus, lowercase: bool, write_settings: Callable[[], None]) -> None:
    """Make ``references``, then ``clean``."""
    remove(work / "references")
    case = ["--lowercase"] if lowercase else []
    with outcome(work / "clean") as clean, outcome(work / "references") as references:
        log = clean / "report.txt"
        if corpus.duc:
            # NAMAS writes # for each digit in Gigaword, but not in DUC.
            digits = ["--hide-digits"] if corpus.form == "namas" else []
            written = "--source", clean / f"test.{_SOURCE}", "--references", references / f"test.{_TITLE}"
            tool_into(log, "duc2004", corpus.duc, *written, *case, *digits)
            # fairseq knows one reference; scoring takes all of references/.
            shutil.copyfile(references / f"test.{_TITLE}.0", clean / f"test.{_TITLE}")
        checked = clean / "checked"
        checked.mkdir()
        # Those whose files have the same suffixes, in one call.
        groups: dict[tuple[str, ...], list[str]] = {}
        for split in corpus.splits:
            groups.setdefault(corpus.suffixes(split), []).append(split)
        for suffixes, splits in groups.items():
            _check(corpus, suffixes, splits, checked, log)
        say("normalising")
        langs = "--source-lang", _SOURCE, "--target-lang", _TITLE
        outputs = [clean / split for split in corpus.splits]
        # A pair of the test set is never dropped: its reference counts, whatever it holds.
        dropping = "--drop-unknown", checked / "train", checked / "valid"
        inputs = [checked / split for split in corpus.splits]
        tool_into(log, "headlines", *inputs, "--output", *outputs, *dropping, *langs, *case)
        if not corpus.duc:
            shutil.copyfile(clean / f"test.{_TITLE}", references / f"test.{_TITLE}.0")
        shutil.rmtree(checked)
        write_settings()


def _check(corpus: HeadlineCorpus, suffixes: tuple[str, ...], splits: list[str], checked: Path, log: Path) -> None:
    sides = _SIDES if corpus.form == "tsv" else suffixes
    flags = ["--tsv"] if corpus.form == "tsv" else []
    inputs, outputs = ([folder / split for split in splits] for folder in (corpus.folder, checked))
    langs = "--source-lang", sides[0], "--target-lang", sides[1]
    tool_into(log, "check-corpus", *inputs, *flags, *langs, "--output", *outputs)
    for split in splits:
        for suffix, side in zip(sides, _SIDES, strict=True):
            (checked / f"{split}.{suffix}").rename(checked / f"{split}.{side}")


def _tokenized(work: Path, workers: int) -> Path:
    if not (work / "tokenized").exists():
        say("tokenising with sacremoses")
        names = [f"{split}.{_SOURCE}" for split in SPLITS]
        with outcome(work / "tokenized") as part:
            for name in names:
                subwords.tokenize(work / "clean" / name, part / name, "en", workers)
            require_same_lines(part, work / "clean", names)
    return work / "tokenized"


def _split(work: Path, text: Path, units: str, workers: int) -> None:
    names = [f"{split}.{side}" for split in SPLITS for side in _SIDES]
    with outcome(work / "units") as part:
        if units == "characters":
            for split in SPLITS:
                # The word <unk> of NAMAS stays whole: fairseq takes it for its own unknown word.
                source = f"{split}.{_SOURCE}"
                subwords.apply_merges(work / "codes", text / source, part / source, workers, ("<unk>",))
            titles = [f"{split}.{_TITLE}" for split in SPLITS]
            outputs = [part / title for title in titles]
            tool("characters", *(work / "clean" / title for title in titles), "--output", *outputs)
        else:
            for name in names:
                subwords.split_into_pieces(work / "sentencepiece.model", work / "clean" / name, part / name)
        require_same_lines(part, work / "clean", names)
