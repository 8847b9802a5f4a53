"""Flags that a command does not know: one sentence says where they belong, or which was meant."""

import pytest
from fairseq import options
from small_models import parse

import fairseq_alone.models  # noqa: F401 (installs the seams)


def refusal(capsys, command, *flags):
    """What the command prints when it refuses its flags: all of it."""
    with pytest.raises(SystemExit) as caught:
        command(*flags)
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line.split(": error: ", 1)[1]


def generate(*flags):
    return options.parse_args_and_arch(options.get_generation_parser(), ["data", *flags])


@pytest.mark.parametrize(
    ("arch", "flags", "sentence"),
    [
        (
            "transformer",
            ["--alone-share", "0.5"],
            "--alone-share belongs to --arch transformer_alone, transformer_lm_alone, lstm_lm_alone, "
            "nnlm_alone and so on, which this command was not given",
        ),
        ("transformer_alone", ["--factorized-dim=3"], "--factorized-dim belongs to --arch transformer_factorized, "),
        (
            "transformer_alone",
            ["--augmented-loss-weight", "1"],
            "--augmented-loss-weight belongs to --criterion cross_entropy_with_augmented_loss, "
            "label_smoothed_cross_entropy_with_augmented_loss, which this command was not given",
        ),
        (
            "transformer_alone",
            ["--muon-momentum", "0.9"],
            "--muon-momentum belongs to --optimizer adam_muon, which this command was not given",
        ),
        (
            "transformer_alone",
            ["--desired-length", "9", "--alone-shore", "1"],
            "--desired-length belongs to --task headline_generation, which this command was not given; "
            "--alone-shore: there is no such flag; did you mean --alone-share?",
        ),
        (
            "transformer",
            ["--alone-shore", "1"],
            "--alone-shore: there is no such flag; did you mean --alone-share (it belongs to --arch transformer_alone",
        ),
        ("transformer", ["--max-tokenz=4"], "--max-tokenz: there is no such flag; did you mean --max-tokens?"),
        ("transformer", ["--quite-another"], "--quite-another: there is no such flag"),
        ("transformer", ["more"], "unrecognized arguments: more"),
        ("transformer_alon", [], "--arch transformer_alon: there is no such choice; did you mean transformer_alone?"),
        ("transformer", ["--criterion", "x"], "--criterion x: there is no such choice; is --user-dir given, and the "),
        ("transformer_alone", ["--alone-rebuild", "x"], "argument --alone-rebuild: invalid choice: 'x' (choose from "),
        ("transformer_alone", ["--alone-share", "x"], "argument --alone-share: invalid float value: 'x'"),
    ],
)
def test_training(capsys, arch, flags, sentence):
    assert refusal(capsys, parse, arch, *flags).startswith(sentence)


def test_a_command_that_reads_models(capsys):
    assert refusal(capsys, generate, "--beem", "4") == "--beem: there is no such flag; did you mean --beam?"
    assert refusal(capsys, generate, "--alone-share", "0.5") == (
        "--alone-share is a setting of the model, which the checkpoint holds: leave it out"
    )
    assert "--task headline_generation" in refusal(capsys, generate, "--desired-length", "4")


def test_no_arch_and_no_task(capsys):
    def train():
        options.parse_args_and_arch(options.get_training_parser(), ["data"])

    def validate():
        options.parse_args_and_arch(options.get_validation_parser(), ["data"])

    assert refusal(capsys, train).startswith("--arch is missing")
    assert refusal(capsys, validate).startswith("--task is missing")


def test_right_flags_are_parsed():
    assert parse("transformer_alone", "--alone-share", 0.5).alone_share == 0.5
    assert generate("--beam", "7").beam == 7
