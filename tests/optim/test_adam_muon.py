"""Adam with Muon for the embedding's matrices: against both optimizers by hand, and in fairseq's trainer."""

import copy
import math

import pytest
import torch
from fairseq_training import parameters, train, trainer, updates
from omegaconf import OmegaConf

from fairseq_alone.errors import UserError
from fairseq_alone.optim.adam_muon import EMBEDDING_NETWORK, AdamMuonConfig, FairseqAdamMuon
from fairseq_alone.seams.once_per_update import built_once_per_update

pytestmark = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch before 2.9 has no Muon")

MUON = ["--optimizer=adam_muon", "--adam-eps=1e-3", "--lr=0.01"]
HALF = ["--fp16", "--fp16-no-flatten-grads", "--fp16-init-scale=2"]


def config(**settings):
    values = OmegaConf.structured(AdamMuonConfig(**settings))
    return OmegaConf.merge(
        {"tpu": False, "lr": [0.01]},
        {k: v for k, v in OmegaConf.to_container(values).items() if k not in ("tpu", "lr")},
    )


def tensors():
    generator = torch.Generator().manual_seed(3)
    matrix, vector = (torch.nn.Parameter(torch.randn(*shape, generator=generator)) for shape in ((6, 16), (16,)))
    matrix.param_group = EMBEDDING_NETWORK
    return matrix, vector


def gradients(steps, matrix, vector):
    generator = torch.Generator().manual_seed(4)
    for _ in range(steps):
        for tensor in (matrix, vector):
            tensor.grad = torch.randn(tensor.shape, generator=generator)
        yield


def orthogonalized(matrix):
    """Five quintic Newton-Schulz steps, in float64: the update that Muon makes of a momentum."""
    x = matrix.double() / matrix.double().norm()
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x


def test_three_steps_by_hand():
    matrix, vector = tensors()
    optimizer = FairseqAdamMuon(config(weight_decay=0.1, muon_lr_scale=2.0, muon_momentum=0.9), [matrix, vector])
    optimizer.set_lr(0.02)
    ours, theirs = matrix.detach().double().clone(), vector.detach().double().clone()
    momentum, mean, square = torch.zeros_like(ours), torch.zeros_like(theirs), torch.zeros_like(theirs)
    for step, _ in enumerate(gradients(3, matrix, vector), start=1):
        momentum = 0.9 * momentum + 0.1 * matrix.grad
        update = orthogonalized(0.1 * matrix.grad + 0.9 * momentum)
        ours = ours * (1 - 0.04 * 0.1) - 0.04 * 0.2 * math.sqrt(16) * update
        mean = 0.9 * mean + 0.1 * vector.grad
        square = 0.999 * square + 0.001 * vector.grad**2
        theirs = theirs * (1 - 0.02 * 0.1)
        theirs = theirs - 0.02 * (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
        optimizer.step()
    # torch's Muon works in bfloat16, which keeps three digits.
    torch.testing.assert_close(matrix.detach().double(), ours, rtol=0, atol=2e-3)
    torch.testing.assert_close(vector.detach().double(), theirs, rtol=1e-5, atol=1e-6)


def test_learning_rates_and_state_survive_saving():
    matrix, vector = tensors()
    optimizer = FairseqAdamMuon(config(), [matrix, vector])
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, pytest.approx(0.03)]
    for _ in gradients(2, matrix, vector):
        optimizer.step()
    state = copy.deepcopy(optimizer.state_dict())
    others = [torch.nn.Parameter(tensor.detach().clone()) for tensor in (matrix, vector)]
    others[0].param_group = EMBEDDING_NETWORK
    second = FairseqAdamMuon(config(muon_lr_scale=4.0, muon_momentum=0.8), others)
    second.load_state_dict(state, {"betas": (0.5, 0.9)})
    adam, muon = second.param_groups
    assert (adam["betas"], adam["lr"]) == ((0.5, 0.9), 0.01)
    assert muon["momentum"] == 0.8
    assert (muon["lr"], muon["eps"]) == (pytest.approx(0.04), optimizer.param_groups[1]["eps"])
    assert "betas" not in muon
    # Same flags, same steps from here.
    second = FairseqAdamMuon(config(), others)
    second.load_state_dict(state)
    for _ in gradients(3, matrix, vector):
        optimizer.step()
    for _ in gradients(3, *others):
        second.step()
    for first, other in zip((matrix, vector), others, strict=True):
        assert torch.equal(first, other)


@pytest.mark.parametrize(
    ("settings", "flag"),
    [({"muon_lr_scale": 0.0}, "--muon-lr-scale"), ({"muon_lr_scale": math.inf}, "--muon-lr-scale")]
    + [({"muon_momentum": value}, "--muon-momentum") for value in (-0.1, 1.0)],
)
def test_flags_out_of_range_are_named(settings, flag):
    with pytest.raises(UserError, match=flag):
        FairseqAdamMuon(config(**settings), tensors())


def test_torch_without_muon_is_named(monkeypatch):
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(UserError, match=r"needs torch 2\.9"):
        FairseqAdamMuon(config(), tensors())


@pytest.mark.parametrize("flags", [[], HALF, ["--amp"]], ids=["fp32", "fp16", "amp"])
def test_the_trainer_gives_muon_the_two_matrices(flags):
    training = trainer(*MUON, *flags)
    before = parameters(training)
    muon = training.optimizer.optimizer.other
    assert [tuple(p.shape) for group in muon.param_groups for p in group["params"]] == [(12, 8), (8, 12)]
    train(training, updates([2]))
    after = parameters(training)
    (embedding,) = built_once_per_update(training.get_model())
    for name in ("w1", "w2"):
        difference = after[f"encoder.embed_tokens.{name}"] - before[f"encoder.embed_tokens.{name}"]
        # All directions of an update are alike: Newton-Schulz brings singular values to between 0.5 and 1.5.
        values = torch.linalg.svdvals(difference) / (training.get_lr() * 3 * 0.2 * math.sqrt(12))
        assert values.min() > 0.4
        assert values.max() < 1.6
    assert embedding.rebuild == "update"


def test_one_update_of_four_micro_batches_is_one_of_their_sum():
    """``--update-freq``: the matrix once per update and in each forward pass give the same steps."""
    ours, theirs = trainer(*MUON), trainer(*MUON, "--alone-rebuild=forward")
    groups = updates([4, 4, 1])
    for first, second in zip(train(ours, groups), train(theirs, groups), strict=True):
        assert first == pytest.approx(second, abs=2e-3)
    first, second = parameters(ours), parameters(theirs)
    for name in first:
        # bfloat16 within Muon: a rounding error of the gradient may show as one of its last digit.
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=3e-4, msg=name)


def test_resume(tmp_path):
    groups = updates([3, 1, 3, 2])
    whole, first, second = trainer(*MUON), trainer(*MUON), trainer(*MUON)
    train(whole, groups)
    train(first, groups[:2])
    first.consolidate_optimizer()
    first.save_checkpoint(str(tmp_path / "checkpoint.pt"), {"train_iterator": {"epoch": 1, "iterations_in_epoch": 2}})
    second.load_checkpoint(str(tmp_path / "checkpoint.pt"))
    train(second, groups[2:])
    ours, theirs = parameters(second), parameters(whole)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-6, msg=name)


def test_a_model_without_such_matrices_trains_as_with_adam():
    flags = ["--arch=transformer_factorized", "--factorized-dim=3"]
    ours, theirs = trainer(*flags, *MUON), trainer(*flags)
    groups = updates([2, 2])
    train(ours, groups)
    train(theirs, groups)
    first, second = parameters(ours), parameters(theirs)
    assert all(torch.equal(first[name], second[name]) for name in first)
