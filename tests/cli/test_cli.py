"""``fairseq-alone`` itself: it answers at once, lists its commands, and completes them."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT, environment, run

import fairseq_alone
from fairseq_alone.cli import COMMANDS, build_parser, main

HEAVY = {"fairseq", "hydra", "matplotlib", "nltk", "numpy", "omegaconf", "sacrebleu", "sacremoses", "shtab", "torch"}

# Runs the command like the installed script, then tells which modules it imported.
IMPORTED = """
import json, sys
from fairseq_alone.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def imported(*arguments):
    """Top modules that are loaded after the command."""
    done = run([sys.executable, "-c", IMPORTED, *arguments])
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["path"], ["--help"], ["--version"], []], ids=" ".join)
def test_what_needs_no_library_imports_none(arguments):
    assert not HEAVY & imported(*arguments)


def test_no_argument_of_any_command_needs_a_library():
    """So help, completion and a wrong flag are answered at once for each of them."""
    assert HEAVY & imported("completion", "bash") == {"shtab"}


def test_only_the_named_command_is_imported():
    code = "import sys; from fairseq_alone.cli import build_parser; build_parser(['plot']); print(*sys.modules)"
    modules = run([sys.executable, "-c", code]).stdout.split()
    assert "fairseq_alone.cli.plot" in modules
    assert "fairseq_alone.cli.score" not in modules


def test_version(capsys):
    with pytest.raises(SystemExit) as ending:
        main(["--version"])
    assert ending.value.code == 0
    assert capsys.readouterr().out == f"fairseq-alone {fairseq_alone.__version__}\n"


def test_a_bare_call_prints_the_help_and_is_no_success(capsys):
    assert main([]) == 2
    printed = capsys.readouterr().err
    assert printed == build_parser([]).format_help()
    for name, description in COMMANDS.items():
        # argparse breaks lines, also behind hyphens.
        assert f"{name}{description}".replace(" ", "") in "".join(printed.split())


def test_every_command_runs(capsys):
    """Each line of the table has its module, and prints help."""
    for name in COMMANDS:
        with pytest.raises(SystemExit) as ending:
            main([name, "--help"])
        assert ending.value.code == 0
        assert f"usage: fairseq-alone {name}" in capsys.readouterr().out


def completed(*words):
    """What bash offers for the last of these words."""
    script = (
        'eval "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        'COMPREPLY=(); _shtab_fairseq_alone; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    shown = run([sys.executable, "-m", "fairseq_alone", "completion", "bash"]).stdout
    done = subprocess.run(
        ["bash", "-c", script, "bash", shown, *words], capture_output=True, text=True, cwd=ROOT, env=environment()
    )
    return done.stdout.split()


def test_bash_completes_commands_flags_choices_and_files():
    assert {"path", "plot"} <= set(completed("fairseq-alone", "p"))
    assert "--output" in completed("fairseq-alone", "plot", "--o")
    assert set(completed("fairseq-alone", "plot", "--x", "")) == {"epochs", "hours", "updates"}
    assert "README.md" in completed("fairseq-alone", "report", "READ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "W", "x", "--sahre", "0.5"], "train: error: --sahre: there is no such flag; did you mean --share?"),
        (["train", "W", "x", "--shar", "0.5"], "train: error: --shar: there is no such flag; did you mean --share?"),
        (["path", "--zzz=1"], "path: error: --zzz: there is no such flag; see fairseq-alone path --help"),
        (["path", "too", "many"], "path: error: too many arguments: too many; see fairseq-alone path --help"),
    ],
)
def test_unknown_words_are_one_sentence(words, sentence, capsys):
    assert main(words) == 2
    assert capsys.readouterr().err == f"fairseq-alone {sentence}\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trian", "W"], "fairseq-alone: error: COMMAND: there is no 'trian'; did you mean train?"),
        (["zzz"], "fairseq-alone: error: COMMAND: there is no 'zzz'; see fairseq-alone --help"),
        (
            ["plot", "a", "--output", "b", "--y", "pl"],
            "fairseq-alone plot: error: --y: there is no 'pl'; did you mean ppl?",
        ),
        (
            ["plot", "a", "--output", "b", "--y", "q"],
            "fairseq-alone plot: error: --y: there is no 'q'; it is one of loss, nll, ppl",
        ),
        (
            ["plot", "a", "--outptu", "b"],
            "fairseq-alone plot: error: --outptu: there is no such flag; did you mean --output?",
        ),
        (
            ["train"],
            "fairseq-alone train: error: the following arguments are required: WORK, RUN; "
            "see fairseq-alone train --help",
        ),
    ],
)
def test_wrong_choices_and_missing_words_are_one_sentence(words, sentence, capsys):
    with pytest.raises(SystemExit) as ending:
        main(words)
    assert ending.value.code == 2
    assert capsys.readouterr().err == f"{sentence}\n"
