import os
from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq import checkpoint_utils
from toy_checkpoints import toy_model, toy_task, write_checkpoint

from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.cli.average import average, last_checkpoints
from fairseq_alone.errors import UserError

ARCHITECTURES = ("transformer", "transformer_alone", "transformer_factorized")
W1 = "encoder.embed_tokens.w1"


def storages(model):
    return {tensor.untyped_storage().data_ptr() for tensor in model.values()}


def write_three(folder, **flags):
    return [write_checkpoint(folder / f"{seed}.pt", updates=10 * seed, seed=seed, **flags) for seed in (1, 2, 3)]


@pytest.mark.parametrize("fp16_run", [False, True])
@pytest.mark.parametrize("tying", ["three-way", "two-way", "none"])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_mean_is_numpys_in_float64_and_loads(tmp_path, arch, tying, fp16_run):
    paths = write_three(tmp_path, arch=arch, tying=tying, fp16_run=fp16_run)
    output = str(tmp_path / "mean.pt")
    assert average(paths, output) == 30

    inputs = [load_checkpoint(path)["model"] for path in paths]
    model = load_checkpoint(output)["model"]
    assert list(model) == list(inputs[0])
    for name, tensor in model.items():
        assert tensor.dtype == inputs[0][name].dtype
        if tensor.is_floating_point():
            expected = np.mean([values[name].numpy().astype(np.float64) for values in inputs], axis=0)
            rounding = np.finfo(tensor.numpy().dtype).eps
            np.testing.assert_allclose(tensor.numpy().astype(np.float64), expected, rtol=rounding, atol=1e-7)
        else:
            assert torch.equal(tensor, inputs[0][name])

    # fairseq builds the model from the file's settings and loads strictly; the tie is there again.
    models, _, _ = checkpoint_utils.load_model_ensemble_and_task([output], task=toy_task(20))
    loaded = models[0].state_dict()
    assert all(torch.equal(loaded[name].to(tensor.dtype), tensor) for name, tensor in model.items())
    shared = models[0].encoder.embed_tokens is models[0].decoder.embed_tokens
    assert shared == (tying == "three-way")


@pytest.mark.parametrize("fp16_run", [False, True])
@pytest.mark.parametrize(("tying", "names_of_one"), [("three-way", 3), ("two-way", 2), ("none", 1)])
def test_tied_table_stands_once_in_the_file(tmp_path, tying, names_of_one, fp16_run):
    flags = {"tying": tying, "fp16_run": fp16_run, "vocabulary": 2000}
    paths = write_three(tmp_path, **flags)
    inputs = load_checkpoint(paths[0])["model"]
    if fp16_run:
        assert len(storages(inputs)) == len(inputs)  # fairseq wrote copies
    output = str(tmp_path / "mean.pt")
    average(paths, output)
    model = load_checkpoint(output)["model"]
    names = [name for name in model if name.endswith(("embed_tokens.weight", "output_projection.weight"))]
    assert len(names) == 3
    assert len(storages({name: model[name] for name in names})) == 4 - names_of_one
    distinct = sum({tensor.untyped_storage().data_ptr(): tensor.nbytes for tensor in model.values()}.values())
    table = model[names[0]].nbytes
    assert distinct == sum(tensor.nbytes for tensor in model.values()) - (names_of_one - 1) * table
    # Nothing but the tensors weighs much: no optimizer's state, no second table.
    assert distinct < os.path.getsize(output) < distinct + table


def test_other_ties_of_memory_are_kept(tmp_path):
    names = ["encoder.layers.0.fc1.bias", "decoder.layers.0.fc1.bias"]

    def tie(checkpoint):
        checkpoint["model"][names[1]] = checkpoint["model"][names[0]]

    def tie_with_copies(checkpoint):
        checkpoint["model"][names[1]] = checkpoint["model"][names[0]].clone()

    first = write_checkpoint(tmp_path / "1.pt", change=tie)
    copies = write_checkpoint(tmp_path / "2.pt", seed=2, change=tie_with_copies)
    untied = write_checkpoint(
        tmp_path / "3.pt", seed=3, change=lambda checkpoint: checkpoint["model"][names[1]].add_(1)
    )
    output = str(tmp_path / "mean.pt")
    average([first, copies], output)
    model = load_checkpoint(output)["model"]
    assert len(storages({name: model[name] for name in names})) == 1
    with pytest.raises(UserError, match="are one tensor in .*1.pt, but differ in .*3.pt"):
        average([first, untied], output)


def test_the_rest_comes_from_the_last_checkpoint_without_optimizer(tmp_path):
    def mark(checkpoint):
        checkpoint["extra_state"]["train_iterator"]["epoch"] = 7
        checkpoint["extra_state"]["ema"] = dict(checkpoint["model"])

    late = write_checkpoint(tmp_path / "late.pt", updates=300, change=mark)
    early = write_checkpoint(tmp_path / "early.pt", updates=200, seed=2)
    output = str(tmp_path / "mean.pt")
    average([late, early], output)
    mean = load_checkpoint(output)
    assert "last_optimizer_state" not in mean
    assert mean["optimizer_history"][-1]["num_updates"] == 300
    assert mean["extra_state"] == {
        "train_iterator": {"epoch": 7, "iterations_in_epoch": 0},
        "averaged_from": ["late.pt", "early.pt"],
    }
    assert mean["cfg"]["model"].encoder_embed_dim == 8


def test_equal_inputs_give_equal_bytes(tmp_path):
    paths = write_three(tmp_path)
    for name in ("a.pt", "b.pt"):
        average(paths, str(tmp_path / name))
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def test_small_values_do_not_vanish_in_the_sum(tmp_path):
    """In float32, 2**24 + 1 is 2**24; the mean of 2**25, 1, 1, 2 needs more digits while adding."""
    name = "encoder.layers.0.fc1.weight"
    paths = [
        write_checkpoint(
            tmp_path / f"{i}.pt", change=lambda checkpoint, value=value: checkpoint["model"][name].fill_(value)
        )
        for i, value in enumerate((2.0**25, 1.0, 1.0, 2.0))
    ]
    average(paths, str(tmp_path / "mean.pt"))
    assert load_checkpoint(str(tmp_path / "mean.pt"))["model"][name].unique().tolist() == [2.0**23 + 1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_stored_dtype_is_kept(tmp_path, dtype):
    """Exact in float64, rounded once: the mean of 1 and 1 + 2 eps is 1 + eps; a sum in ``dtype`` would lose it."""
    name = "encoder.layers.0.fc1.weight"
    eps = torch.finfo(dtype).eps
    paths = [
        write_checkpoint(
            tmp_path / f"{i}.pt",
            change=lambda checkpoint, i=i: checkpoint["model"].update(
                {name: torch.full((16, 8), 1.0 + 2 * i * eps, dtype=dtype)}
            ),
        )
        for i in range(2)
    ]
    average(paths, str(tmp_path / "mean.pt"))
    mean = load_checkpoint(str(tmp_path / "mean.pt"))["model"][name]
    assert mean.dtype == dtype
    assert mean.unique().tolist() == [1.0 + eps]


def set_value(name, value):
    def change(checkpoint):
        checkpoint["model"][name].view(-1)[-1] = value

    return change


def drop(name):
    return lambda checkpoint: checkpoint["model"].pop(name)


def to_half(name):
    return lambda checkpoint: checkpoint["model"].update({name: checkpoint["model"][name].half()})


def longer(name):
    return lambda checkpoint: checkpoint["model"].update({name: torch.zeros(99)})


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ({"decoder_layers": 2}, r"--decoder-layers is 1 in .*first.pt and 2 in .*second.pt"),
        ({"tying": "two-way"}, r"--share-all-embeddings is True in .*first.pt and False in .*second.pt"),
        ({"alone_seed": 5}, r"--alone-seed is 1 in .*first.pt and 5 in .*second.pt"),
        ({"alone_inter_dim": 13}, r"--alone-inter-dim is 12 in .*first.pt and 13 in .*second.pt"),
        ({"vocabulary": 21}, r"the vocabulary size of the filters .* is 20 in .*first.pt and 21 in .*second.pt"),
        ({"arch": "transformer_factorized"}, r"--arch is transformer_alone in .* and transformer_factorized in"),
        ({"change": drop("decoder.layers.0.fc1.bias")}, r"decoder.layers.0.fc1.bias is present in .* and absent in"),
        (
            {"change": longer("decoder.layers.0.fc1.bias")},
            r"shape of decoder.layers.0.fc1.bias is \(16,\) in .* and \(99,\)",
        ),
        (
            {"change": to_half("decoder.layers.0.fc1.bias")},
            r"type of decoder.layers.0.fc1.bias is torch.float32 in .*float16",
        ),
        ({"change": set_value(W1, float("nan"))}, rf"second.pt: {W1} holds values that are not finite"),
        ({"change": set_value(W1, float("-inf"))}, rf"second.pt: {W1} holds values that are not finite"),
        (
            {"change": set_value("encoder.embed_tokens.filters.filter_version", 10**9)},
            r"filters \(encoder.embed_tokens.filters.filter_version\) differ between .*first.pt and .*second.pt",
        ),
    ],
)
def test_different_checkpoints_are_refused(tmp_path, second, sentence):
    first = write_checkpoint(tmp_path / "first.pt", arch="transformer_alone")
    other = write_checkpoint(tmp_path / "second.pt", **{"arch": "transformer_alone", "seed": 2, **second})
    with pytest.raises(UserError, match=sentence):
        average([first, other], str(tmp_path / "mean.pt"))
    assert sorted(os.listdir(tmp_path)) == ["first.pt", "second.pt"]


def test_training_settings_may_differ(tmp_path):
    first = write_checkpoint(tmp_path / "1.pt", arch="transformer_alone", dropout=0.1, alone_dropout=0.2, lr=[0.1])
    other = write_checkpoint(tmp_path / "2.pt", arch="transformer_alone", dropout=0.3, alone_dropout=0.0, lr=[0.2])
    average([first, other], str(tmp_path / "mean.pt"))
    assert (tmp_path / "mean.pt").exists()


def test_a_run_may_go_on_with_the_other_rebuild(tmp_path):
    paths = [
        write_checkpoint(tmp_path / f"{mode}.pt", arch="transformer_alone", alone_rebuild=mode)
        for mode in ("update", "forward")
    ]
    average(paths, str(tmp_path / "mean.pt"))
    assert (tmp_path / "mean.pt").exists()


def test_tied_names_that_differ_are_refused(tmp_path):
    damaged = write_checkpoint(tmp_path / "1.pt", fp16_run=True, change=set_value("decoder.embed_tokens.weight", 3.0))
    with pytest.raises(
        UserError, match="1.pt: the settings tie encoder.embed_tokens.weight and decoder.embed_tokens.weight"
    ):
        average([damaged], str(tmp_path / "mean.pt"))


def test_truncated_missing_and_foreign_files_are_refused(tmp_path):
    good = write_checkpoint(tmp_path / "1.pt")
    truncated = tmp_path / "2.pt"
    truncated.write_bytes((tmp_path / "1.pt").read_bytes()[:5000])
    foreign = tmp_path / "3.pt"
    torch.save({"weights": torch.zeros(3)}, foreign)
    for bad in (truncated, foreign, tmp_path / "4.pt"):
        with pytest.raises(UserError, match=bad.name):
            average([good, str(bad)], str(tmp_path / "mean.pt"))
    assert not (tmp_path / "mean.pt").exists()


def test_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    paths = write_three(tmp_path)
    output = tmp_path / "mean.pt"
    output.write_bytes(b"old")

    def interrupted(checkpoint, file):
        file.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        average(paths, str(output))
    assert output.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["1.pt", "2.pt", "3.pt", "mean.pt"]


def test_output_may_not_replace_an_input(tmp_path):
    paths = write_three(tmp_path)
    before = Path(paths[2]).read_bytes()
    with pytest.raises(UserError, match="is one of the checkpoints; choose another name"):
        average(paths, paths[2])
    assert Path(paths[2]).read_bytes() == before


@pytest.mark.parametrize(
    ("output", "sentence"), [("no/mean.pt", "there is no folder"), (".", "is a folder"), ("mean.pt", "is given twice")]
)
def test_bad_arguments_are_refused(tmp_path, output, sentence):
    path = write_checkpoint(tmp_path / "1.pt")
    paths = [path, path] if output == "mean.pt" else [path]
    with pytest.raises(UserError, match=sentence):
        average(paths, str(tmp_path / output))


def test_last_checkpoints_are_in_numeric_order(tmp_path):
    names = ["checkpoint_1_90.pt", "checkpoint_2_100.pt", "checkpoint_10_1000.pt", "checkpoint_best.pt"]
    names += ["checkpoint_last.pt", "checkpoint9.pt", "checkpoint10.pt", "checkpoint.best_loss_3.0000.pt"]
    for name in names:
        (tmp_path / name).touch()
    folder = str(tmp_path)

    def last(*args):
        return [os.path.basename(path) for path in last_checkpoints(folder, *args)]

    assert last(2, "update") == ["checkpoint_2_100.pt", "checkpoint_10_1000.pt"]
    assert last(2, "epoch") == ["checkpoint9.pt", "checkpoint10.pt"]
    with pytest.raises(UserError, match="--by update or --by epoch"):
        last(1)
    with pytest.raises(UserError, match="--last 4: .* holds only 3 checkpoints named checkpoint_EPOCH_UPDATE.pt"):
        last(4, "update")
    with pytest.raises(UserError, match="--last must be at least 1, got 0"):
        last(0, "update")
    for name in names[:3]:
        (tmp_path / name).unlink()
    assert last(1) == ["checkpoint10.pt"]
    with pytest.raises(UserError, match="--dir .*nowhere: there is no such folder"):
        last_checkpoints(str(tmp_path / "nowhere"), 1)


def test_command(tmp_path, capsys):
    from fairseq_alone.cli import main

    for updates in (9, 10, 11):
        write_checkpoint(tmp_path / f"checkpoint_1_{updates}.pt", updates=updates, seed=updates)
    output = tmp_path / "mean.pt"
    assert main(["average", "--last", "2", "--dir", str(tmp_path), "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "checkpoint_1_9.pt" not in printed
    assert f"{output}: mean of 2 checkpoints, up to update 11" in printed
    assert load_checkpoint(str(output))["extra_state"]["averaged_from"] == ["checkpoint_1_10.pt", "checkpoint_1_11.pt"]

    assert main(["average", "--last", "5", "--dir", str(tmp_path), "--output", str(output)]) == 1
    assert "holds only 3" in capsys.readouterr().err
    assert main(["average", "--output", str(output)]) == 1
    assert "give checkpoints, or both --last N and --dir DIR" in capsys.readouterr().err
    assert main(["average", "a.pt", "--last", "5", "--output", str(output)]) == 1
    assert "not both" in capsys.readouterr().err


def test_toy_models_are_different():
    """The tests above average something."""
    (first, _, _), (second, _, _) = toy_model(seed=1), toy_model(seed=2)
    assert not torch.equal(first.encoder.embed_tokens.weight, second.encoder.embed_tokens.weight)
