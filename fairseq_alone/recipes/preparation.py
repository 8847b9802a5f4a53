"""What the preparations of all recipes share: what one is made of, fairseq-preprocess for two sides, and the report."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fairseq_alone.recipes import fairseq_command
from fairseq_alone.recipes.steps import SPLITS, count_lines, outcome, run_logged, say


@dataclass(frozen=True)
class Preparation:
    """The preparation of one folder.

    Args:
        settings: lines ``name=value`` of ``prepare.settings``.
        outcomes: names in the folder that must have been made with the same settings.
        steps: make what is missing in a folder; they call the second argument when bad data has been refused, which
            writes the settings.
        notes: what it would do, for ``--dry-run``.
    """

    settings: list[str]
    outcomes: tuple[str, ...]
    steps: Callable[[Path, Callable[[], None]], None]
    notes: list[str]


def binarise(work: Path, units: Path, source_lang: str, target_lang: str, workers: int) -> None:
    """Make ``data-bin`` of two sides, with one joined dictionary."""
    if (work / "data-bin").exists():
        return
    say("binarising with fairseq")
    with outcome(work / "data-bin") as part:
        prefixes = [word for split in SPLITS for word in (f"--{split}pref", str(units / split))]
        command = [*fairseq_command.fairseq_command("preprocess"), "--source-lang", source_lang, "--target-lang"]
        command += [target_lang, "--joined-dictionary", *prefixes, "--destdir", str(part), "--workers", str(workers)]
        run_logged(work / "prepare.data-bin.log", command)


def report(work: Path, units: Path, source_lang: str, target_lang: str, words: str) -> None:
    """Print what came out."""
    for folder in (work / "clean", units):
        if (folder / "report.txt").exists():
            print((folder / "report.txt").read_text(encoding="utf-8"), end="")
    for split in SPLITS:
        say(f"{split}: {count_lines(units / f'{split}.{source_lang}')} pairs")
    # fairseq adds <s>, <pad>, </s> and <unk>.
    entries = count_lines(work / "data-bin" / f"dict.{target_lang}.txt") + 4
    say(f"joined vocabulary: {entries} entries ({words})")
    say(f"ready: {work / 'data-bin'}")
