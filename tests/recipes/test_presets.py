"""Presets: the package's own and a user's."""

import pytest
from train_recipe import TrainRecipe, value

from fairseq_alone.cli import main
from fairseq_alone.errors import UserError
from fairseq_alone.recipes.presets import RECIPES, flag, read_preset, read_presets

MINE = """
[mine]
merges = 50
effective_tokens = 1024
max_tokens = 1024
max_update = 0
max_epoch = 3
inter_dim = 16
checkpoints = 2
architecture = "transformer_{family}"

[mine.shape]
layers = 1
embed-dim = 32

[mine.training]
lr = 1.0e-3
weight-decay = 0.10
"""


def test_numbers_stay_as_they_are_written():
    preset = read_preset("translation", "wmt16")
    assert preset.training_flags("conventional")[:2] == ["--lr", "0.0015"]
    assert "1.0" in preset.training_flags("conventional")
    assert (preset["beam"], preset["lenpen"], preset.embed_dim, preset.shape_flags) == (4, "0.6", 512, [])
    assert read_preset("translation", "demo").embed_dim == 64


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_preset_says_what_it_needs_and_gives(recipe):
    for preset in read_presets(recipe).values():
        assert preset.notes == [f"hardware: {preset['hardware']}", f"expected: {preset['expected']}"]


def test_true_is_a_flag_without_a_value():
    assert flag("a", True) + flag("b", False) + flag("c", 0) == ["--a", "--c", "0"]


def test_missing_and_unknown_presets_and_keys_are_named(tmp_path):
    with pytest.raises(
        UserError, match="--preset must be one of wmt16, small, demo in the recipe translation, got 'x'"
    ):
        read_preset("translation", "x")
    own = tmp_path / "own.toml"
    own.write_text("[mine]\nlr = 1\n")
    with pytest.raises(UserError, match=r"own.toml: \[mine\] has lr, which no preset of translation has"):
        read_presets("translation", own)
    own.write_text("[mine]\nmerges = 5\n")
    mine = read_preset("translation", "mine", own)
    with pytest.raises(UserError, match=r"the preset mine has no max_tokens; add it to \[mine\] or \[every\]"):
        mine["max_tokens"]
    for text in ("[mine\n", "merges = 5\n"):
        own.write_text(text)
        with pytest.raises(UserError, match="own.toml: "):
            read_presets("translation", own)
    with pytest.raises(UserError, match="none.toml: cannot be read"):
        read_presets("translation", tmp_path / "none.toml")


def test_own_presets_are_found_again_in_the_work_folder(tmp_path, monkeypatch, capsys):
    recipe = TrainRecipe(tmp_path, monkeypatch, capsys)
    recipe.prepare("mine")
    assert "--preset must be one of wmt16, small, demo" in recipe.refused()
    (recipe.folder / "presets.toml").write_text(MINE)
    _, [command] = recipe.dry_run(embedding="alone_binary")
    assert [value(command, name) for name in ("--lr", "--weight-decay", "--decoder-layers", "--alone-inter-dim")] == [
        "1.0e-3",
        "0.10",
        "1",
        "16",
    ]
    # The presets of the package stay.
    recipe.prepare("small")
    assert value(recipe.dry_run()[1][0], "--lr") == "0.004"


def test_prepare_takes_own_presets_and_copies_them(tmp_path, monkeypatch, corpus):
    from served import serve_fairseq

    serve_fairseq(monkeypatch)
    own = tmp_path / "own.toml"
    own.write_text(MINE)
    words = ["prepare", str(tmp_path / "work"), str(corpus), "--preset", "mine", "--workers", "1", "--presets"]
    assert main([*words, str(own)]) == 0
    assert (tmp_path / "work/presets.toml").read_text() == MINE
    # The folder knows them.
    assert main([*words, str(tmp_path / "work/presets.toml")]) == 0
    assert main(["prepare", str(tmp_path / "work"), str(corpus), "--preset", "mine", "--dry-run"]) == 0
    assert main(["prepare", str(tmp_path / "other"), str(corpus), "--preset", "mine", "--dry-run"]) == 1
    assert "PRESET=mine\n" in (tmp_path / "work/prepare.settings").read_text()
    assert "MERGES=50\n" in (tmp_path / "work/prepare.settings").read_text()
