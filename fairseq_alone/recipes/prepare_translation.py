"""Data for translation: check, clean, tokenise, split into joined subwords, binarise.

=====================  ===========================================================================================
corpus/                demo and wmt16: the raw text
clean/                 checked text; ``clean/test.TARGET`` is the reference for scoring (untokenised, cased)
tokenized/             Moses tokens (subword-nmt only)
subwords/              joined subwords; ``codes`` or ``sentencepiece.model`` beside it
data-bin/              for fairseq-train
=====================  ===========================================================================================
"""

from collections.abc import Callable
from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.recipes import subwords
from fairseq_alone.recipes.corpus_source import Corpus, find_corpus
from fairseq_alone.recipes.length_filter import filter_by_length
from fairseq_alone.recipes.preparation import Preparation, binarise, report
from fairseq_alone.recipes.prepare_options import PrepareOptions
from fairseq_alone.recipes.presets import Preset, read_preset
from fairseq_alone.recipes.steps import SPLITS, outcome, require_same_lines, say
from fairseq_alone.recipes.tools import tool_into
from fairseq_alone.recipes.values import one_of, positive

_OUTCOMES = ("corpus", "clean", "tokenized", "subwords", "codes", "sentencepiece.model", "data-bin")


def prepare_translation(work: Path, options: PrepareOptions) -> Preparation:
    """The preparation of parallel text.

    Raises:
        UserError: a choice is out of its range, or a file of the corpus is missing.
    """
    preset = read_preset("translation", options.preset or "small", options.own_presets(work))
    splitter = one_of("--subwords", options.subwords or "subword-nmt", ("subword-nmt", "sentencepiece"))
    merges = positive("--merges", options.merges or preset["merges"])
    workers = options.processes
    corpus = find_corpus(preset.name, options)
    langs = corpus.source_lang, corpus.target_lang
    if langs[0] == langs[1]:
        raise UserError(f"--source-lang and --target-lang are both {langs[0]}")
    settings = [f"PRESET={preset.name}", f"SUBWORDS={splitter}", f"SOURCE_LANG={langs[0]}", f"TARGET_LANG={langs[1]}"]
    settings += [f"MERGES={merges}", *corpus.settings]

    def steps(work: Path, write_settings: Callable[[], None]) -> None:
        text = _cleaned(work, corpus, write_settings)
        if splitter == "subword-nmt":
            text = _tokenized(work, langs, workers)
            _learn_merges(work, langs, merges, workers)
        elif not (work / "sentencepiece.model").exists():
            say(f"learning {merges} joined pieces with SentencePiece")
            subwords.learn_pieces(work, [f"clean/train.{lang}" for lang in langs], merges, workers)
        _split(work, text, langs, splitter, workers, preset)
        binarise(work, work / "subwords", *langs, workers)
        report(work, work / "subwords", *langs, f"{splitter}, MERGES={merges}")

    return Preparation(settings, _OUTCOMES, steps, preset.notes)


def _cleaned(work: Path, corpus: Corpus, write_settings: Callable[[], None]) -> Path:
    raw = corpus.folder or work / "corpus"
    if corpus.make and not raw.exists():
        with outcome(raw) as part:
            corpus.make(part)
            write_settings()
    if not (work / "clean").exists():
        say(f"checking {raw}")
        with outcome(work / "clean") as part:
            langs = "--source-lang", corpus.source_lang, "--target-lang", corpus.target_lang
            inputs = [raw / split for split in SPLITS]
            tool_into(part / "report.txt", "check-corpus", *inputs, *langs, "--output", *(part / s for s in SPLITS))
            write_settings()
    return work / "clean"


def _tokenized(work: Path, langs: tuple[str, str], workers: int) -> Path:
    if not (work / "tokenized").exists():
        say("tokenising with sacremoses")
        with outcome(work / "tokenized") as part:
            for split in SPLITS:
                for lang in langs:
                    subwords.tokenize(work / f"clean/{split}.{lang}", part / f"{split}.{lang}", lang, workers)
    return work / "tokenized"


def _learn_merges(work: Path, langs: tuple[str, str], merges: int, workers: int) -> None:
    if not (work / "codes").exists():
        say(f"learning {merges} joined BPE merges with subword-nmt")
        texts = [work / f"tokenized/train.{lang}" for lang in langs]
        with outcome(work / "codes", is_folder=False) as part:
            subwords.learn_merges(texts, part, merges, workers, work / "prepare.codes.log")


def _split(work: Path, text: Path, langs: tuple[str, str], splitter: str, workers: int, preset: Preset) -> None:
    if (work / "subwords").exists():
        return
    say("splitting into subwords")
    with outcome(work / "subwords") as part:
        names = [f"{split}.{lang}" for split in SPLITS for lang in langs]
        for name in names:
            if splitter == "subword-nmt":
                subwords.apply_merges(work / "codes", text / name, part / name, workers)
            else:
                subwords.split_into_pieces(work / "sentencepiece.model", text / name, part / name)
        require_same_lines(part, work / "clean", names)
        if preset["longest"]:
            source, target = (part / f"train.{lang}" for lang in langs)
            dropped = filter_by_length(source, target, preset["longest"], float(preset["ratio"]))
            (part / "report.txt").write_text(f"{dropped}\n")
