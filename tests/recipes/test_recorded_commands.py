"""Every preset trains with the flags that it had when shell scripts worked them out, and with the same settings."""

import json
import shlex
import sys
from pathlib import Path

import pytest

from fairseq_alone.cli import build_parser
from fairseq_alone.recipes import fairseq_command, workers
from fairseq_alone.recipes.old_variables import arguments
from fairseq_alone.recipes.train import plan_training
from fairseq_alone.recipes.train_options import TrainOptions

CASES = json.loads(Path(__file__).with_name("recorded_commands.json").read_text())["cases"]
PREPARED = {
    "translation": "SUBWORDS=subword-nmt\nSOURCE_LANG=en\nTARGET_LANG=de\nMERGES=8000\n",
    "headlines": "SOURCE_LANG=source\nTARGET_LANG=title\nTARGET_UNITS=characters\nMERGES=4000\nLOWERCASE=1\nFORM=tsv\n",
}
COUNTS = """train: 42068 sentences, 887521 words
valid: 3370 sentences, 70390 words
test: 3761 sentences, 78669 words
"""


def work_folder(path, recipe, preset):
    """A folder as the record was made with."""
    (path / "data-bin").mkdir(parents=True)
    if recipe == "language_model":
        (path / "clean").mkdir()
        (path / "clean/counts").write_text(COUNTS)
        (path / "prepare.settings").write_text("train=1 2\nvalid=3 4\ntest=5 6\n")
    else:
        target = {"translation": "de", "headlines": "title"}[recipe]
        words = "".join(f"word{number} 1\n" for number in range(996))
        (path / f"data-bin/dict.{target}.txt").write_text(words)
        (path / "prepare.settings").write_text(f"PRESET={preset}\n{PREPARED[recipe]}")
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}

    def folder(recipe, preset):
        if (recipe, preset) not in made:
            made[recipe, preset] = work_folder(tmp_path_factory.mktemp("work") / "work", recipe, preset)
        return made[recipe, preset]

    return folder


@pytest.fixture(scope="module")
def parser():
    return build_parser()


def expected_command(words: list[str], case: dict) -> list[str]:
    """The recorded command with what has changed since on purpose."""
    if case["recipe"] == "language_model":
        # With several GPUs fairseq took all of them, and the schedule ended before its time.
        at = len(words) - len(case["flags"])
        return [*words[:at], "--distributed-world-size", "1", *words[at:]]
    return with_authors_start(with_authors_dropout(words, case), case)


def with_authors_start(words: list[str], case: dict) -> list[str]:
    """The presets of the paper start as the authors' code does."""
    published = case["preset"] in ("wmt16", "gigaword")
    if not published or case["variables"].get("EMBEDDING") not in ("alone_binary", "alone_real"):
        return words
    at = words.index("--alone-dropout-until") + 2
    return [*words[:at], "--alone-init", "published", *words[at:]]


def with_authors_dropout(words: list[str], case: dict) -> list[str]:
    """The authors' two filters have each a dropout of its own; the scripts had one for both."""
    if case["preset"] == "wmt16" and case["variables"].get("EMBEDDING") == "alone_real":
        return [
            ("0.2" if before == "--alone-dropout" else word) for before, word in zip([""] + words, words, strict=False)
        ]
    return words


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['recipe']}-{case['preset']}")
def test_flags_and_settings_are_the_recorded_ones(case, folders, parser, monkeypatch):
    work = folders(case["recipe"], case["preset"])
    variables = dict(case["variables"])
    if case["recipe"] == "language_model":
        variables["PRESET"] = case["preset"]
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_PROCID", "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)
    machine = dict(case["machine"])
    gpus = int(machine.pop("GPUS", 0))
    monkeypatch.setattr(workers, "count_gpus", lambda: gpus)
    for name, value in machine.items():
        monkeypatch.setenv(name, value)

    words = arguments(case["recipe"], "train", [str(work), "run", *case["flags"]], variables)
    args = parser.parse_args(words)
    plan = plan_training(args.work, args.name, TrainOptions.of_arguments(args), dry_run=True)

    here = {"WORK": str(work), "PYTHON": sys.executable, "USER_DIR": fairseq_command.user_dir()}
    recorded = []
    for command in case["commands"]:
        for name, path in here.items():
            command = command.replace(name, path)
        recorded.append(expected_command(shlex.split(command), case))
    assert plan.commands == recorded
    if case["settings"] is not None:
        words = " ".join(case["settings"]).split(" ")
        expected = " ".join(with_authors_start(with_authors_dropout(words, case), case))
        assert " ".join(plan.settings) == expected
    if case["recipe"] != "language_model":
        assert plan.sentences == [
            text.removeprefix("train.sh: ").replace("ABSOLUTE has", "--absolute has").replace("LENGTH=", "--length ")
            for text in case["text"]
        ]
