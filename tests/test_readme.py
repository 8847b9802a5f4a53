"""Every command of README.md and of the user's documents in docs/ runs, and every Python block, at toy size.

In these documents an indented block has commands, a fenced one ``text`` or ``python``. What is replaced or added to
make them small stands below as data.
"""

import contextlib
import glob
import random
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from unittest import mock

import pytest
from fairseq_commands import ROOT, SMALL_MODEL, environment, fairseq, preprocess, python, succeeded
from recipes.served import serve_fairseq

from fairseq_alone.cli import main

pytestmark = pytest.mark.slow

#: Commands that are not run, and why.
NOT_RUN = {"pip": "downloads what the tests run with", ".": "the tests are in an environment already"}

#: Files and folders of the reader. Here they are in a folder of the test.
PLACES = (
    *("DATA", "DATA_LM", "WORK", "checkpoints", "checkpoints_lm", "generated.txt", "test.de", "text.en", "text.de"),
    *("train.txt", "valid.txt", "test.txt", "for_fairseq", "for_torchscript", "RUN", "test.en", "out.de", "BUNDLE"),
    *("for_ctranslate2", "for_huggingface", "for_speed", "model.safetensors", "LICENCE.txt"),
    *("candidates.txt", "input.txt", "output.txt", "pairs.txt", "rebuilt"),
)

#: What the shell would put in place of these; "..." is what the reader's training has beside the flags that are shown.
TEXTS = {
    "$(fairseq-alone path)": str(ROOT / "fairseq_alone"),
    "input.txt dog": "input.txt w1",
    "fairseq-train ...": "fairseq-train DATA --user-dir fairseq_alone --optimizer adam --lr 0.01 --max-tokens 400 "
    "--criterion cross_entropy --required-batch-size-multiple 1 --no-save --disable-validation",
}

# The reader's training in README.md, whose checkpoint other documents use.
_SAVED = "--user-dir fairseq_alone --optimizer adam --lr 0.01 --max-tokens 400 --save-dir checkpoints"

# A model that has learned nothing does not end its sentences.
_SHORT = ("--max-len-b", 10)

#: Words that are added to the first command that begins like this.
ADDED = {
    "make": ("--dry-run",),
    "fairseq-train DATA_LM ": ("--cpu", "--num-workers", 0, "--max-epoch", 1, "--no-progress-bar"),
    "fairseq-train ": (*SMALL_MODEL, "--cpu", "--num-workers", 0, "--max-update", 2, "--no-progress-bar"),
    "fairseq-generate ": ("--cpu", "--num-workers", 0, *_SHORT),
    "fairseq-eval-lm ": ("--cpu",),
    "fairseq-preprocess ": ("--workers", 1),
    "fairseq-hydra-train ": ("optimization.max_epoch=1", "hydra.run.dir=WORK/outputs"),
    "fairseq-alone prepare ": ("--hold-out", 10, "--merges", 500, "--workers", 1),
    "fairseq-alone train ": ("--max-epoch", 1, "--cpu"),
    "fairseq-alone evaluate ": ("--cpu", "--", *_SHORT),
    "fairseq-alone translate ": ("--device", "cpu", *_SHORT),
    "fairseq-alone perplexity ": ("--device", "cpu"),
    "fairseq-alone reconstruct ": ("--first", 20, "--epochs", 2, "--seeds", 1, 2),
}


def blocks(document: str) -> list[tuple[str, str]]:
    """``(kind, text)`` of every block in order: "sh" for an indented one, else what stands behind the fence."""
    found = re.finditer(r"^```(\w+)\n((?:.*\n)*?)```$|(?<=\n\n)((?:    .*\n|\n(?=    ))+)", document, re.M)
    return [(match[1] or "sh", match[2] or re.sub(r"^    ", "", match[3], flags=re.M)) for match in found]


def commands(name: str) -> list[str]:
    """The commands of a document, one line each, without comments."""
    text = "".join(text for kind, text in blocks((ROOT / name).read_text("utf-8")) if kind == "sh")
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [re.sub(r"\s+#.*", "", line) for line in lines if line]


class Reader:
    """Runs commands in a folder, as a reader who has text and binarised data there.

    Args:
        folder: with 500 different words, so that an embedding of half of the table's size has room for all its parts.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        generator = random.Random(1)
        for split, size in (("train", 300), ("valid", 30), ("test", 33)):
            lines = [" ".join(f"w{generator.randrange(500)}" for _ in range(6)) + "\n" for _ in range(size)]
            for suffix in ("en", "de"):
                (folder / f"{split}.{suffix}").write_text("".join(lines))
            (folder / f"{split}.txt").write_text("".join(lines))
        for suffix in ("en", "de"):
            shutil.copy(folder / f"train.{suffix}", folder / f"text.{suffix}")

    def binarise(self) -> None:
        """Make DATA."""
        preprocess(self.folder, self.folder / "DATA", "--joined-dictionary")

    def words(self, command: str) -> list[str]:
        """The words of a command, as the shell gives them to it and with those that are added."""
        for text, replacement in TEXTS.items():
            command = command.replace(text, replacement)
        added = next((words for start, words in ADDED.items() if command.startswith(start)), ())
        words = []
        for word in [*shlex.split(command.replace("$PWD/", "")), *map(str, added)]:
            setting, _, value = word.rpartition("=")
            if value.split("/")[0] in PLACES:
                word = f"{setting}={self.folder / value}" if setting else str(self.folder / value)
            # As a value of --model-overrides.
            word = re.sub(r"'([\w.]+)'}", lambda match: f"'{self.folder / match[1]}'}}", word)
            words += sorted(glob.glob(word)) if "*" in word else [word]
        return words

    def run(self, command: str) -> str:
        """Run a command that must succeed. Returns its standard output."""
        words = self.words(command)
        program, *arguments = words
        files: dict[str, Path | None] = {"<": None, ">": None}
        for sign in files:
            if sign in arguments:
                at = arguments.index(sign)
                files[sign] = Path(arguments[at + 1])
                del arguments[at : at + 2]
        target = files[">"]
        if program == "make":
            # Make tells the makes that it starts how they were called; this one is nobody's.
            clean = {name: value for name, value in environment().items() if not name.startswith(("MAKE", "MFLAGS"))}
            done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=clean)
        elif program == "fairseq-alone":
            with contextlib.ExitStack() as stack:
                if files["<"] is not None:
                    stack.enter_context(mock.patch("sys.stdin", files["<"].open(encoding="utf-8")))
                if target is not None:
                    stack.enter_context(contextlib.redirect_stdout(target.open("w", encoding="utf-8")))
                assert main(arguments) == 0, command
            return ""
        else:
            assert program.startswith("fairseq-"), f"{command}: not known to this test"
            done = fairseq(program.removeprefix("fairseq-").replace("-", "_"), *arguments, check=False)
        output = succeeded(done).stdout
        if target is not None:
            target.write_text(output)
        return output


@pytest.fixture
def reader(tmp_path):
    return Reader(tmp_path)


#: Commands that need a recipe's run; in README.md also what is made of it.
RECIPE = "fairseq-alone (prepare|train|evaluate|compare) "
RECIPE_AND_PRODUCT = "fairseq-alone (prepare|train|evaluate|compare|translate|bundle|export) "


def run_all(reader, document: str, others: str = RECIPE) -> list[str]:
    """Run all but those that begin like ``others``. Returns the commands."""
    found = [command for command in commands(document) if not re.match(others, command)]
    for command in found:
        if command.split()[0] not in NOT_RUN:
            reader.run(command)
    return found


def test_commands_of_the_readme(reader, capsys):
    reader.binarise()
    found = run_all(reader, "README.md", RECIPE_AND_PRODUCT)
    assert [command.split()[0] for command in found] == [
        *("make", ".", "make", "fairseq-train", "fairseq-generate", "fairseq-alone"),
    ]
    assert "33 sentences" in capsys.readouterr().out


def test_commands_of_the_usage(reader):
    reader.binarise()
    (reader.folder / "WORK").mkdir()
    (reader.folder / "WORK/data-bin").symlink_to(reader.folder / "DATA")
    reader.run(f"fairseq-train DATA --arch transformer_alone {_SAVED}")
    (reader.folder / "pairs.txt").write_text("w1 w2 3.5\nw2 w3 1\nw4 w5 2\n")
    assert len(run_all(reader, "docs/usage.md")) == 26
    assert (reader.folder / "rebuilt/seed2.txt").is_file()


def test_two_text_files_to_bleu_and_a_product(reader, monkeypatch, capsys):
    serve_fairseq(monkeypatch)
    found = [command for command in commands("README.md") if re.match(RECIPE_AND_PRODUCT, command)]
    assert len(found) == 10
    for command in found:
        reader.run(command)
    rows = [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    at = rows.index("run")
    assert rows[at + 2 : at + 4] == ["alone", "table"]
    assert (reader.folder / "BUNDLE/manifest.json").is_file()
    assert (reader.folder / "for_ctranslate2/model.bin").is_file()


@pytest.mark.parametrize("document", ["README.md", "docs/usage.md"])
def test_python_blocks(document):
    for kind, text in blocks((ROOT / document).read_text("utf-8")):
        assert kind in ("sh", "text", "python")
        if kind == "python":
            done = succeeded(python(text, fairseq_imported=False))
            assert done.stdout == "torch.Size([1, 3, 512]) torch.Size([1, 3, 32000])\n"


@pytest.fixture
def user(reader, data, trained):
    """A reader who has trained a translation model, in a recipe's folder as well, and a language model."""
    folder = reader.folder
    (folder / "DATA").symlink_to(data)
    (folder / "checkpoints").symlink_to(trained)
    work = folder / "WORK"
    run = work / "runs/RUN"
    (run / "checkpoints").mkdir(parents=True)
    (work / "data-bin").symlink_to(data)
    (work / "codes").write_text("#version: 0.2\nw 1</w>\n")
    settings = "PRESET=small\nSUBWORDS=subword-nmt\nSOURCE_LANG=en\nTARGET_LANG=de\n"
    (work / "prepare.settings").write_text(settings)
    for name in ("averaged.pt", "checkpoints/checkpoint_last.pt"):
        (run / name).symlink_to(trained / "checkpoint_last.pt")
    (folder / "RUN").symlink_to(run)
    found = commands("docs/usage.md")
    for start in ("fairseq-preprocess --only-source", "fairseq-train DATA_LM"):
        reader.run(next(command for command in found if command.startswith(start)))
    return reader


def test_commands_of_the_export(user):
    assert len(run_all(user, "docs/export.md")) == 7


def test_commands_of_bundles_and_compact_files(user):
    (user.folder / "LICENCE.txt").write_text("Do what you like.\n")
    assert len(run_all(user, "docs/bundle.md")) == 1
    assert len(run_all(user, "docs/compact-format.md")) == 2


def test_commands_and_python_of_the_use_of_a_model(user, monkeypatch, capsys):
    found = run_all(user, "docs/use.md")
    assert len(found) == 8
    lines = (user.folder / "test.en").read_text().splitlines()
    assert len((user.folder / "out.de").read_text().splitlines()) == len(lines) == 33
    assert "perplexity" in capsys.readouterr().out
    monkeypatch.chdir(user.folder)
    python = [text for kind, text in blocks((ROOT / "docs/use.md").read_text("utf-8")) if kind == "python"]
    assert len(python) == 4
    for text in python:
        exec(compile(text, "docs/use.md", "exec"), {"__name__": "__main__"})
    assert len(capsys.readouterr().out.splitlines()) == 2 + 3 + 2 + 2 + 1
