"""An LSTM layer over a whole sequence: cell by cell in float64, values and gradients."""

import pytest
import torch
from torch import nn

from fairseq_alone.modules.lstm_sequence import lstm_sequence

STEPS, BATCH, INPUT, HIDDEN = 6, 3, 5, 7


def step_by_step(cell, inputs, state, mask):
    hidden, cells = state
    outputs = []
    for step in inputs:
        hidden, cells = cell(step, (hidden if mask is None else hidden * mask, cells))
        outputs.append(hidden)
    return torch.stack(outputs), (hidden, cells)


@pytest.mark.parametrize("masked", [False, True])
def test_outputs_states_and_gradients_are_those_of_single_steps(masked):
    torch.manual_seed(2)
    cell = nn.LSTMCell(INPUT, HIDDEN).double()
    inputs = torch.randn(STEPS, BATCH, INPUT, dtype=torch.double, requires_grad=True)
    state = tuple(torch.randn(BATCH, HIDDEN, dtype=torch.double, requires_grad=True) for _ in range(2))
    mask = torch.tensor([0.0, 2.0], dtype=torch.double)[torch.randint(2, (BATCH, HIDDEN))] if masked else None
    found = []
    for run in (step_by_step, lstm_sequence):
        outputs, (hidden, cells) = run(cell, inputs, state, mask)
        # Each output has another gradient, those of the last state among them.
        loss = (outputs**2 * torch.arange(1, 1 + outputs.numel()).view_as(outputs)).sum()
        loss = loss + (hidden**3).sum() + (2 * cells).sin().sum()
        gradients = torch.autograd.grad(loss, [inputs, *state, *cell.parameters()])
        found.append([outputs, hidden, cells, *gradients])
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_the_dtype_is_that_of_the_inputs():
    cell = nn.LSTMCell(INPUT, HIDDEN).bfloat16()
    state = (torch.zeros(BATCH, HIDDEN), torch.zeros(BATCH, HIDDEN))
    outputs, _ = lstm_sequence(cell, torch.randn(STEPS, BATCH, INPUT).bfloat16(), state, torch.ones(BATCH, HIDDEN))
    assert outputs.dtype == torch.bfloat16
