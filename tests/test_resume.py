"""A training that goes on, with one process and with two, is the training that was never stopped."""

import pytest
from fairseq_commands import (
    assert_same_parameters,
    generate,
    hypotheses,
    train,
    train_flags,
    train_in_two_processes,
    train_log,
)

from fairseq_alone.checkpoints import load_checkpoint

pytestmark = pytest.mark.slow


def test_resume_goes_on_exactly(data, tmp_path):
    """Six updates at once, or three and three: the same parameters."""
    flags = ["--share-all-embeddings", "--alone-dropout", 0.1, "--alone-dropout-until", 5]
    train(data, tmp_path / "whole", *flags, "--max-update", 6)
    train(data, tmp_path / "parts", *flags, "--max-update", 3)
    assert load_checkpoint(tmp_path / "parts/checkpoint_last.pt")["optimizer_history"][-1]["num_updates"] == 3
    train(data, tmp_path / "parts", *flags, "--max-update", 6)
    assert_same_parameters(
        tmp_path / "whole/checkpoint_last.pt", tmp_path / "parts/checkpoint_last.pt", rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(
    "precision", [[], ["--fp16", "--fp16-no-flatten-grads", "--fp16-init-scale", 2]], ids=["float32", "fp16"]
)
def test_free_rows_train_resume_and_decode(data, tmp_path, precision):
    flags = ["--share-all-embeddings", "--alone-free-rows", "10,20x3", *precision]
    train(data, tmp_path / "parts", *flags, "--max-update", 3)
    train(data, tmp_path / "parts", *flags, "--max-update", 6)
    checkpoints = [tmp_path / folder / "checkpoint_last.pt" for folder in ("whole", "parts")]
    if not precision:  # a resumed run starts from rounded values, as fairseq saves a half precision model
        train(data, tmp_path / "whole", *flags, "--max-update", 6)
        assert_same_parameters(*checkpoints, rtol=0, atol=1e-6)
    trained_names = [name for name in load_checkpoint(checkpoints[1])["model"] if ".free." in name]
    assert [name.split(".free.")[1] for name in trained_names] == [
        "bands.0.rows",
        "bands.1.rows",
        "bands.1.projection",
    ]
    assert len(hypotheses(generate(data, checkpoints[1:]).stdout)) == 33


def test_same_command_same_seed_same_parameters(data, trained, tmp_path):
    train(data, tmp_path, "--share-all-embeddings", "--max-update", 12, "--max-epoch", 3)
    assert_same_parameters(trained / "checkpoint_last.pt", tmp_path / "checkpoint_last.pt", rtol=0, atol=0)


def two_processes(data, folder, *flags):
    """fairseq-train as two CPU processes that really join (rank 1 may not write)."""
    return train_in_two_processes(folder.parent, train_flags(data, folder, *flags))[0]


def test_two_processes_equal_one_with_twice_the_micro_batches(data, tmp_path):
    flags = ["--share-all-embeddings", "--dropout", 0, "--max-tokens", 150, "--clip-norm", 1]
    # The gradient of k_proj.bias is zero but for rounding, and Adam with a small epsilon makes whole steps of that.
    flags += ["--adam-eps", 1e-3]
    one = train(data, tmp_path / "one", *flags, "--update-freq", 2, "--max-update", 5).stdout
    two = two_processes(data, tmp_path / "two", *flags, "--max-update", 5)
    losses = [[line["loss"] for line in train_log(log)] for log in (one, two.stdout)]
    assert len(losses[0]) == 5
    assert [float(x) for x in losses[0]] == pytest.approx([float(x) for x in losses[1]], abs=2e-3)
    assert_same_parameters(
        tmp_path / "one/checkpoint_last.pt", tmp_path / "two/checkpoint_last.pt", rtol=1e-4, atol=1e-5
    )
    # Resuming with two processes sends the checkpoint's settings from one to the other.
    two_processes(data, tmp_path / "two", *flags, "--max-update", 7)
    train(data, tmp_path / "one", *flags, "--update-freq", 2, "--max-update", 7)
    assert_same_parameters(
        tmp_path / "one/checkpoint_last.pt", tmp_path / "two/checkpoint_last.pt", rtol=1e-3, atol=1e-4
    )


def test_augmented_loss_trains_resumes_and_decodes(data, tmp_path):
    flags = ["--tie-embeddings", "all", "--criterion", "label_smoothed_cross_entropy_with_augmented_loss"]
    flags += ["--augmented-loss-weight", 0.5, "--augmented-loss-temperature", 2, "--augmented-loss-target-refresh", 2]
    flags += ["--augmented-loss-temperature-start", 1, "--augmented-loss-temperature-updates", 3]
    train(data, tmp_path, *flags, "--max-update", 2)
    lines = train_log(train(data, tmp_path, *flags, "--max-update", 4).stdout)
    assert [line["num_updates"] for line in lines] == ["3", "4"]
    assert all(float(line["augmented_loss"]) > 0 for line in lines)
    # The loss is its parts, with tau as scheduled: the label-smoothed part is a little above the cross-entropy.
    for line, temperature in zip(lines, (1 + 2 / 3, 2), strict=True):
        rest = float(line["loss"]) - 0.5 * temperature * float(line["augmented_loss"])
        assert rest == pytest.approx(float(line["nll_loss"]), rel=0.1)
    assert len(hypotheses(generate(data, [tmp_path / "checkpoint_last.pt"]).stdout)) == 33
