"""Data for word vectors: one text, checked, cleaned, counted and binarised. It stays as it is split into words."""

from collections.abc import Callable, Iterator
from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.recipes import fairseq_command
from fairseq_alone.recipes.checksum import cksum
from fairseq_alone.recipes.preparation import Preparation
from fairseq_alone.recipes.prepare_options import PrepareOptions
from fairseq_alone.recipes.presets import read_presets
from fairseq_alone.recipes.steps import count_lines, outcome, run_logged, say
from fairseq_alone.recipes.values import positive
from fairseq_alone.recipes.work_folder import WORD_VECTORS
from fairseq_alone.text_files import clean_lines

# A text without ends of sentences, as text8, is cut as word2vec cuts it.
_LONGEST = 1000


def prepare_word_vectors(work: Path, options: PrepareOptions) -> Preparation:
    """The preparation of one file of text, or of the train.txt of a folder.

    Raises:
        UserError: there is no such file, or ``--min-count`` is no positive number.
    """
    if len(options.corpus) != 1:
        raise UserError("give the text, or a folder with train.txt: fairseq-alone prepare WORK CORPUS")
    text = Path(options.corpus[0]).absolute()
    if text.is_dir():
        text = text / "train.txt"
    if not text.is_file():
        raise UserError(f"{text}: there is no such file")
    every = next(iter(read_presets("word_vectors", options.own_presets(work)).values()))
    min_count = positive("--min-count", options.min_count or every["min_count"])
    processes = options.processes
    # Checksum and size, so that changed data is noticed and a moved file does not matter.
    settings = [f"RECIPE={WORD_VECTORS}", f"train={cksum(text)}", f"min_count={min_count}"]

    def steps(work: Path, write_settings: Callable[[], None]) -> None:
        if not (work / "clean").exists():
            say(f"checking {text}")
            with outcome(work / "clean") as part:
                (part / "counts").write_text(_clean(text, part / "train.txt"))
                write_settings()
        if not (work / "data-bin").exists():
            say("binarising with fairseq")
            with outcome(work / "data-bin") as part:
                command = [*fairseq_command.fairseq_command("preprocess"), "--only-source", "--trainpref"]
                command += [f"{work}/clean/train.txt", "--destdir", str(part), "--thresholdsrc", str(min_count)]
                command += ["--padding-factor", "1", "--workers", str(processes)]
                run_logged(work / "prepare.data-bin.log", command)
                if not count_lines(part / "dict.txt"):
                    raise UserError(
                        f"{text}: no word occurs {min_count} times; give a smaller --min-count in a new WORK"
                    )
        print((work / "clean/counts").read_text(), end="")
        say(f"{count_lines(work / 'data-bin/dict.txt')} words that occur at least {min_count} times")
        say(f"ready: {work / 'data-bin'}")

    return Preparation(settings, ("clean", "data-bin"), steps, [])


def _clean(text: Path, output: Path) -> str:
    """Write the text without empty lines, long ones cut; return the line of counts."""
    sentences = words = 0
    with open(output, "w", encoding="utf-8", newline="\n") as file:
        for line in clean_lines(str(text), quiet=False):
            for part in _cut(line.split()):
                sentences += 1
                words += len(part)
                file.write(" ".join(part) + "\n")
    if not sentences:
        raise UserError(f"{text}: every line is empty")
    return f"train: {sentences} sentences, {words} words\n"


def _cut(words: list[str]) -> Iterator[list[str]]:
    return (words[start : start + _LONGEST] for start in range(0, len(words), _LONGEST))
