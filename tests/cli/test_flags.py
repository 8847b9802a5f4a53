"""``fairseq-alone flags``: the plugin's flags, all of them and no others, from what is registered."""

import argparse
import json
import os

import pytest
from conftest import ROOT
from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY
from fairseq.models.transformer import TransformerModel
from fairseq.models.transformer import base_architecture as base_transformer

from fairseq_alone.cli import flags as command
from fairseq_alone.cli import main
from fairseq_alone.flags import Flag, own_flags


@pytest.fixture(scope="module")
def registered():
    return own_flags()


@pytest.fixture
def looked_up(registered, monkeypatch):
    """What is registered is looked up once: it takes half a second, and parsers of all architectures."""
    monkeypatch.setattr("fairseq_alone.flags.own_flags", lambda: registered)


def printed(capsys, *arguments):
    assert main(["flags", *arguments]) == 0
    return capsys.readouterr().out


def names_of(capsys, *arguments):
    return [flag["flag"] for flag in json.loads(printed(capsys, *arguments, "--json"))]


def test_the_document_is_what_the_command_prints(capsys):
    text = (ROOT / "docs/flags.md").read_text("utf-8")
    assert text == printed(capsys, "--markdown"), "run: fairseq-alone flags --markdown > docs/flags.md"


def test_flags_of_one_architecture(looked_up, capsys):
    alone = names_of(capsys, "transformer_alone")
    assert {"--alone-filter", "--alone-dropout", "--alone-share", "--tie-embeddings"} <= set(alone)
    assert not [flag for flag in alone if flag.startswith(("--length", "--factorized", "--variational", "--encoder"))]
    assert {"--length-encoding", "--alone-filter"} <= set(names_of(capsys, "transformer_alone_duc"))
    # The stock Transformer has a flag of this name; fairseq's LSTM, which this one extends, has not.
    assert "--no-scale-embedding" in names_of(capsys, "lstm_lm_conventional")
    assert "--no-scale-embedding" not in names_of(capsys, "transformer_lm_conventional")


def test_flags_of_criterions_optimizers_and_tasks(looked_up, capsys):
    assert names_of(capsys, "adam_muon") == ["--muon-lr-scale", "--muon-momentum"]
    assert names_of(capsys, "headline_generation") == ["--desired-length"]
    for criterion in ("cross_entropy_with_augmented_loss", "label_smoothed_cross_entropy_with_augmented_loss"):
        assert {flag.split("-")[2] for flag in names_of(capsys, criterion)} == {"augmented"}


def test_defaults_are_those_of_the_architecture(registered):
    (inter_dim,) = (flag for flag in registered if flag.flag == "--alone-inter-dim")
    for name, default in inter_dim.defaults.items():
        args = argparse.Namespace()
        ARCH_CONFIG_REGISTRY[name](args)
        assert default == args.alone_inter_dim
    assert inter_dim.defaults["transformer_alone_tiny"] == 1024
    assert "transformer_conventional" not in inter_dim.defaults


def test_a_new_family_appears_by_itself(capsys, monkeypatch):
    class ToyModel(TransformerModel):
        @classmethod
        def add_args(cls, parser):
            super().add_args(parser)
            parser.add_argument("--toy-rank", type=int, metavar="R", help="rank | of the toy")

    def architecture(args):
        args.toy_rank = getattr(args, "toy_rank", 7)
        base_transformer(args)

    ToyModel.__module__ = "fairseq_alone.models.toy"
    monkeypatch.setitem(ARCH_MODEL_REGISTRY, "transformer_toy", ToyModel)
    monkeypatch.setitem(ARCH_CONFIG_REGISTRY, "transformer_toy", architecture)
    rows = printed(capsys, "--markdown").split("## --arch transformer_toy")[1].splitlines()
    assert "| `--toy-rank R` | 7 | rank \\| of the toy |" in rows
    assert names_of(capsys, "transformer_toy") == ["--toy-rank"]


def test_groups_are_named_after_what_their_names_share():
    def flag(name, *takers, default=1):
        return Flag(name, "architecture", "N", "", dict.fromkeys(takers, default))

    flags = [flag("--a", "x_alone", "y_alone", "x_table"), flag("--b", "x_alone", "y_alone"), flag("--c", "x_table")]
    flags.append(Flag("--d", "task", "", "", {"t": False}))
    assert {title: [f.flag for f in group] for title, group in command.groups(flags).items()} == {
        "every --arch of this plugin": ["--a"],
        "every --arch with 'alone' in its name": ["--b"],
        "--arch x_table": ["--c"],
        "--task t": ["--d"],
    }


def test_the_table_on_the_screen_fits_and_shows_where_defaults_differ(looked_up, capsys, monkeypatch):
    monkeypatch.setitem(os.environ, "COLUMNS", "100")
    lines = printed(capsys, "transformer_alone_tiny").splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.split()[:3] == ["--alone-inter-dim", "D_INTER", "1024"] for line in lines)
    flag = Flag("--a", "architecture", "N", "means", {"x": 1, "y": 1, "z": 2})
    assert "--a N  1  means [z: 2]" in command.text({"title": [flag]}, width=80)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("transformer_alon", "did you mean transformer_alone or "),
        ("adam_moun", "did you mean adam_muon"),
        ("qqq", ", headline_generation"),
    ],
)
def test_an_unknown_name_is_one_sentence(name, hint, looked_up, capsys):
    assert main(["flags", name]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"this plugin has no architecture, criterion, optimizer or task '{name}'; " in error
    assert hint in error
