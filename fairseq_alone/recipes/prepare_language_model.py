"""Data for language models: check, clean, count, binarise. The text stays as it is split into words."""

from collections.abc import Callable
from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.recipes import fairseq_command
from fairseq_alone.recipes.checksum import cksum
from fairseq_alone.recipes.preparation import Preparation
from fairseq_alone.recipes.prepare_options import PrepareOptions
from fairseq_alone.recipes.presets import read_presets
from fairseq_alone.recipes.steps import SPLITS, count_lines, outcome, run_logged, say
from fairseq_alone.recipes.values import positive
from fairseq_alone.text_files import clean_lines


def prepare_language_model(work: Path, options: PrepareOptions) -> Preparation:
    """The preparation of a folder with train.txt, valid.txt and test.txt.

    Raises:
        UserError: a file is missing, or ``--min-count`` is no positive number.
    """
    if len(options.corpus) != 1:
        raise UserError("give the folder with train.txt, valid.txt and test.txt: fairseq-alone prepare WORK CORPUS")
    folder = Path(options.corpus[0]).absolute()
    if folder.is_file():
        raise UserError(
            f"{folder} is a file; CORPUS of a language model is a folder with train.txt, valid.txt, test.txt"
        )
    for split in SPLITS:
        if not (folder / f"{split}.txt").is_file():
            raise UserError(f"{folder}/{split}.txt: there is no such file")
    read_presets("language_model", options.own_presets(work))
    min_count = positive("--min-count", options.min_count or 1)
    # Checksum and size, so that changed data is noticed and a moved folder does not matter.
    settings = [f"{split}={cksum(folder / f'{split}.txt')}" for split in SPLITS]
    if min_count > 1:  # folders of before have no such line
        settings.append(f"min_count={min_count}")

    def steps(work: Path, write_settings: Callable[[], None]) -> None:
        if not (work / "clean").exists():
            say(f"checking {folder}")
            with outcome(work / "clean") as part:
                (part / "counts").write_text("".join(_clean(folder, part, split) for split in SPLITS))
                write_settings()
        if not (work / "data-bin").exists():
            say("binarising with fairseq")
            with outcome(work / "data-bin") as part:
                prefixes = [word for split in SPLITS for word in (f"--{split}pref", f"{work}/clean/{split}.txt")]
                command = [*fairseq_command.fairseq_command("preprocess"), "--only-source", *prefixes, "--destdir"]
                # --padding-factor 1: no made-up words in the dictionary, which would take a share of the probability.
                command += [str(part), "--padding-factor", "1", "--workers", "1"]
                command += ["--thresholdsrc", str(min_count)] if min_count > 1 else []
                run_logged(work / "prepare.data-bin.log", command)
        print((work / "clean/counts").read_text(), end="")
        # fairseq adds <s>, <pad>, </s> and <unk>.
        say(f"vocabulary: {count_lines(work / 'data-bin/dict.txt') + 4} entries")
        say(f"ready: {work / 'data-bin'}")

    return Preparation(settings, ("clean", "data-bin"), steps, [])


def _clean(folder: Path, part: Path, split: str) -> str:
    """Write one split without empty lines; return its line of the counts."""
    sentences = words = dropped = 0
    with open(part / f"{split}.txt", "w", encoding="utf-8", newline="\n") as output:
        for line in clean_lines(str(folder / f"{split}.txt"), quiet=False):
            if line:
                sentences += 1
                words += len(line.split())
                output.write(line + "\n")
            else:
                dropped += 1
    if not sentences:
        raise UserError(f"{folder}/{split}.txt: every line is empty")
    if dropped:
        say(f"{split}: {dropped} empty lines dropped")
    return f"{split}: {sentences} sentences, {words} words\n"
