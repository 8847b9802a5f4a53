"""``--amp``: the loss scale changes no step."""

import pytest
import torch
from fairseq_training import parameters, train, trainer, updates


@pytest.mark.parametrize("arch", ["transformer_alone", "transformer_conventional"])
def test_the_loss_scale_changes_no_step(arch):
    """With a small epsilon, which a gradient that is divided by the scale twice would drown in."""
    size = ["--alone-inter-dim=12"] if arch == "transformer_alone" else []
    steps = []
    for scale in (1.0, 65536.0):
        training = trainer(f"--arch={arch}", *size, "--amp", "--clip-norm=1", "--adam-eps=1e-8")
        # fairseq's own scaler works on a GPU only.
        training.optimizer._grad_scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        before = parameters(training)
        train(training, updates([2]))
        assert training.optimizer.scaler.get_scale() == scale
        steps.append({name: value - before[name] for name, value in parameters(training).items()})
    for name, step in steps[0].items():
        other = steps[1][name]
        # Adam makes rounding noise in gradients that should be zero a full step: few values may differ.
        assert (other - step).abs().median() < 1e-4, name
        assert other.abs().mean() == pytest.approx(step.abs().mean().item(), rel=0.05), name
