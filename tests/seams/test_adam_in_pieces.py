"""fairseq's Adam piece by piece is fairseq's Adam."""

import inspect

import pytest
import torch
from fairseq.optim.adam import Adam

import fairseq_alone.models  # noqa: F401 (installs the seams)
from fairseq_alone.seams import adam_in_pieces

SETTINGS = {"lr": 0.01, "weight_decay": 0.1}


def train(step, size=(23, 40), updates=5, kind=torch.float32, **settings):
    """Parameters and the optimizer after some steps."""
    generator = torch.Generator().manual_seed(1)
    parameters = [
        torch.nn.Parameter(torch.randn(*shape, generator=generator).to(kind)) for shape in (size, (3,), (50, 9))
    ]
    optimizer = Adam(parameters, **{**SETTINGS, **settings})
    for number in range(updates):
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator).to(kind)
        if number == 3:
            parameters[2].grad = None
        step(optimizer)
    return parameters, optimizer


def states(optimizer):
    return [value for state in optimizer.state_dict()["state"].values() for value in state.values()]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(adam_in_pieces, "_PIECE", 64)


@pytest.mark.parametrize("settings", [{}, {"amsgrad": True}, {"kind": torch.float16}], ids=str)
def test_equal_to_the_bit(settings):
    ours, theirs = train(Adam.step, **settings), train(inspect.unwrap(Adam.step), **settings)
    for first, second in zip(ours[0], theirs[0], strict=True):
        assert torch.equal(first, second)
    for first, second in zip(states(ours[1]), states(theirs[1]), strict=True):
        assert torch.equal(torch.as_tensor(first), torch.as_tensor(second))
    assert len(ours[1].state) == 3
    assert ours[1].param_groups[0]["params"] == ours[0]


def test_large_parameters_are_cut_after_their_first_step(monkeypatch):
    seen = []
    original = adam_in_pieces._pieces
    monkeypatch.setattr(adam_in_pieces, "_pieces", lambda *args: seen.append(args[0].shape) or original(*args))
    train(Adam.step, updates=2)
    assert seen == [(23, 40), (50, 9)]


def test_after_an_error_everything_is_as_before():
    parameters, optimizer = train(Adam.step)
    with pytest.raises(ZeroDivisionError):
        optimizer.step(lambda: 1 / 0)
    assert len(optimizer.state) == 3
    assert optimizer.param_groups[0]["params"] == parameters
