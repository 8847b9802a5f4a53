"""Adam and Adagrad by rows: by hand, sparse like dense, saved and loaded; the schedule that ends with the epochs."""

import copy
import math
from argparse import Namespace

import pytest
import torch
from omegaconf import OmegaConf

import fairseq_alone.optim  # noqa: F401 (registers the optimizers)
from fairseq_alone.errors import UserError
from fairseq_alone.optim.adam_rows import BY_ROWS, AdamRowsConfig, FairseqAdamRows
from fairseq_alone.optim.linear_over_epochs import LinearOverEpochs

ROWS, VALUES = torch.tensor([4, 1, 4]), torch.tensor([[1.0, 2.0], [0.5, 0.0], [0.0, -4.0]])


def config(**settings):
    values = OmegaConf.to_container(OmegaConf.structured(AdamRowsConfig(**settings)))
    return OmegaConf.create({**values, "tpu": False, "lr": [0.1]})


def tensors():
    table, vector = torch.nn.Parameter(torch.ones(6, 2)), torch.nn.Parameter(torch.ones(3))
    table.param_group = BY_ROWS
    return table, vector


def gradient(sparse=True):
    found = torch.sparse_coo_tensor(ROWS.unsqueeze(0), VALUES, (6, 2))
    return found if sparse else found.to_dense()


def optimizer(*parameters, **settings):
    found = FairseqAdamRows(config(**settings), parameters)
    found.set_lr(0.1)
    return found


@pytest.mark.parametrize("sparse", [True, False])
def test_two_steps_by_hand(sparse):
    table, vector = tensors()
    made = optimizer(table, vector, rows_lr_scale=2.0)
    expected, sums = torch.ones(6, 2), torch.zeros(6)
    dense = gradient(sparse=False)
    for _ in range(2):
        table.grad, vector.grad = gradient(sparse), torch.ones(3)
        made.all_reduce_grads(torch.nn.Module())
        made.step()
        sums += dense.square().mean(1)
        for row in (1, 4):
            expected[row] -= 0.2 * dense[row] / sums[row].sqrt()
    torch.testing.assert_close(table.detach(), expected)
    # Adam's first steps are as long as its learning rate.
    torch.testing.assert_close(vector.detach(), torch.full((3,), 0.8), rtol=0, atol=1e-4)


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_sgd_steps_by_the_sum_of_the_losses(sparse, clip):
    """Twice, with a mean over 8 words and one over 3, which fairseq divides by."""
    table, vector = tensors()
    made = optimizer(table, vector, rows_rule="sgd", rows_lr_scale=2.0, rows_clip_norm=0.0)
    expected, dense = torch.ones(6, 2), gradient(sparse=False)
    for words in (8, 3):
        table.grad, vector.grad = gradient(sparse), torch.ones(3)
        made.all_reduce_grads(torch.nn.Module())
        made.multiply_grads(1 / words)
        norm = float(made.clip_grad_norm(clip))
        made.step()
        share = min(1.0, clip / norm) if clip else 1.0
        expected -= 0.2 * share * dense
    torch.testing.assert_close(table.detach(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sparse", [True, False])
def test_sgd_shortens_the_sum_of_a_row_that_is_above_its_limit(sparse):
    """The norms of the sums are 5 and 0.5."""
    table, vector = tensors()
    made = optimizer(table, vector, rows_rule="sgd", rows_clip_norm=2.0)
    values = torch.tensor([[1.5, 2.0], [0.3, -0.4], [1.5, 2.0]])
    found = torch.sparse_coo_tensor(ROWS.unsqueeze(0), values, (6, 2))
    table.grad = found if sparse else found.to_dense()
    made.all_reduce_grads(torch.nn.Module())
    made.multiply_grads(0.25)
    made.step()
    expected = torch.ones(6, 2)
    expected[4] -= 0.1 * torch.tensor([1.2, 1.6])
    expected[1] -= 0.1 * torch.tensor([0.3, -0.4])
    torch.testing.assert_close(table.detach(), expected)


def test_a_state_of_another_rule_and_an_unknown_rule_are_refused():
    for one, other in (("sgd", "adagrad"), ("adagrad", "sgd")):
        made = optimizer(*tensors(), rows_rule=one)
        with pytest.raises(UserError, match=f"--rows-rule {other} does not go on"):
            optimizer(*tensors(), rows_rule=other).load_state_dict(made.state_dict())
    with pytest.raises(UserError, match="--rows-rule must be adagrad or sgd, got 'adam'"):
        optimizer(*tensors(), rows_rule="adam")
    for limit in (-1.0, math.inf, math.nan):
        with pytest.raises(UserError, match="--rows-clip-norm must be a number of at least 0"):
            optimizer(*tensors(), rows_rule="sgd", rows_clip_norm=limit)


def test_constants_and_clipping_reach_sparse_gradients():
    table, vector = tensors()
    made = optimizer(table, vector)
    table.grad, vector.grad = gradient(), torch.full((3,), 2.0)
    made.all_reduce_grads(torch.nn.Module())
    assert table.grad.is_coalesced()
    made.multiply_grads(torch.tensor(0.5))
    torch.testing.assert_close(table.grad.to_dense(), gradient(sparse=False) / 2)
    norm = math.sqrt(float((gradient(sparse=False) / 2).square().sum()) + 3)
    assert float(made.clip_grad_norm(0.0)) == pytest.approx(norm)
    assert float(made.clip_grad_norm(0.1)) == pytest.approx(norm)
    assert float(made.clip_grad_norm(0.0)) == pytest.approx(0.1, rel=1e-4)
    made.zero_grad()
    assert float(made.clip_grad_norm(1.0)) == 0.0


def test_a_table_alone_and_no_table_at_all_are_trained():
    for parameter in tensors():
        made = optimizer(parameter)
        parameter.grad = torch.ones_like(parameter)
        made.step()
        assert (parameter < 1).all()


def test_state_survives_saving_and_flags_hold():
    first, second = tensors(), tensors()
    made = optimizer(*first)
    for step in range(4):
        if step == 2:
            state = copy.deepcopy(made.state_dict())
            for one, other in zip(first, second, strict=True):
                other.data.copy_(one.data)
            loaded = optimizer(*second, rows_lr_scale=3.0)
            loaded.load_state_dict(state, {"betas": (0.5, 0.9)})
            assert [group["lr"] for group in loaded.param_groups] == [0.1, pytest.approx(0.3)]
            assert loaded.param_groups[0]["betas"] == (0.5, 0.9)
            loaded = optimizer(*second)
            loaded.load_state_dict(state)
        for table, vector, owner in ((*first, made), *([(*second, loaded)] if step >= 2 else [])):
            table.grad, vector.grad = gradient(), torch.ones(3)
            owner.step()
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("scale", [0.0, math.inf])
def test_a_scale_out_of_range_is_named(scale):
    with pytest.raises(UserError, match="--rows-lr-scale"):
        optimizer(*tensors(), rows_lr_scale=scale)


def schedule(**settings):
    flags = {"max_epoch": 5, "lr": [0.4], "linear_end_share": 0.01, **settings}
    made = optimizer(*tensors())
    return LinearOverEpochs(Namespace(**flags), made)


def test_the_rate_falls_to_its_end_with_the_last_epoch():
    made = schedule()
    assert made.step_update(7) == 0.4  # before the length of an epoch is known
    made.set_updates_per_epoch(20)
    assert [made.step_update(updates) for updates in (0, 25, 99, 100, 200)] == pytest.approx(
        [0.4, 0.3, 0.004, 0.004, 0.004]
    )


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"max_epoch": 0}, "--max-epoch"),
        ({"lr": [0.1, 0.2]}, "--lr"),
        ({"linear_end_share": 1.5}, "--linear-end-share"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(settings, flag):
    with pytest.raises(UserError, match=flag):
        schedule(**settings)
