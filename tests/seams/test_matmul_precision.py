"""``--matmul-precision``: which products are rounded, and when."""

import pytest
import torch
from fairseq_training import train, trainer, updates

from fairseq_alone.modules.matmul_precision import matmul_precision


@pytest.fixture(autouse=True)
def exact_before_and_after():
    assert torch.get_float32_matmul_precision() == "highest"
    yield
    assert torch.get_float32_matmul_precision() == "highest"


def precisions_of(training, run):
    """What torch was told in each forward pass of the model."""
    seen = []
    hook = training.get_model().register_forward_hook(lambda *_: seen.append(torch.get_float32_matmul_precision()))
    run()
    hook.remove()
    return seen


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
@pytest.mark.parametrize("arch", ["transformer_alone", "transformer_conventional"])
def test_updates_have_the_precision_and_validation_is_exact(arch, precision):
    size = ["--alone-inter-dim=12"] if arch == "transformer_alone" else []
    training = trainer(f"--arch={arch}", *size, f"--matmul-precision={precision}")
    first, second = updates([2, 1])
    assert precisions_of(training, lambda: train(training, [first, second])) == [precision] * 3
    assert precisions_of(training, lambda: training.valid_step(first[0])) == ["highest"]


def test_an_update_that_fails_leaves_exact_products():
    with pytest.raises(ZeroDivisionError), matmul_precision("medium"):
        raise ZeroDivisionError
    assert torch.get_float32_matmul_precision() == "highest"


def test_without_the_flag_a_setting_of_the_process_holds():
    torch.set_float32_matmul_precision("high")
    try:
        with matmul_precision("highest"):
            assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_rounded_training_stays_near_the_exact_one():
    """On a CPU without bfloat16 both are the same."""
    logs = [train(trainer(f"--matmul-precision={name}"), updates([2] * 8)) for name in ("highest", "medium")]
    for exact, rounded in zip(*logs, strict=True):
        assert rounded == pytest.approx(exact, rel=0.02)
