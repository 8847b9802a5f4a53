"""Variational dropout: one mask a sequence, the same at every time step."""

import math

import pytest
import torch
from torch import nn

from fairseq_alone.errors import SettingError
from fairseq_alone.modules import VariationalDropout, VariationalLSTMCell
from fairseq_alone.modules.variational_dropout import sequence_mask

INPUT, HIDDEN, BATCH, STEPS = 6, 5, 4, 7


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(3)


def unroll(cell, inputs):
    """Hidden states (T, B, hidden size) of a cell over inputs (T, B, input size), from zero states."""
    hidden = cell_state = torch.zeros(inputs.size(1), HIDDEN, dtype=inputs.dtype)
    states = []
    for step in inputs:
        hidden, cell_state = cell(step, (hidden, cell_state))
        states.append(hidden)
    return torch.stack(states)


def test_mask_is_the_same_at_every_step_and_differs_between_sequences_and_calls():
    dropout = VariationalDropout(0.5)
    ones = torch.ones(8, STEPS, 32)
    first, second = dropout(ones), dropout(ones)
    assert torch.equal(first, first[:, :1].expand_as(first))
    assert set(first.unique().tolist()) == {0.0, 2.0}
    masks = [tuple(row.tolist()) for row in first[:, 0]] + [tuple(row.tolist()) for row in second[:, 0]]
    assert len(set(masks)) == 16


@pytest.mark.parametrize("probability", [0.2, 0.7])
def test_expectation_is_kept(probability):
    mask = sequence_mask(torch.empty(1000, 100), probability)
    # Standard error of the mean of n inverted Bernoulli values: sqrt(p / (1 - p) / n); allow five of them.
    assert mask.mean().item() == pytest.approx(1.0, abs=5 * math.sqrt(probability / (1 - probability) / mask.numel()))
    assert (mask == 0).double().mean().item() == pytest.approx(probability, abs=0.01)


def test_nothing_happens_in_evaluation():
    x = torch.randn(BATCH, STEPS, INPUT)
    assert torch.equal(VariationalDropout(0.5).eval()(x), x)
    cell = VariationalLSTMCell(INPUT, HIDDEN, input_dropout=0.5, recurrent_dropout=0.5)
    plain = nn.LSTMCell(INPUT, HIDDEN)
    plain.load_state_dict(cell.state_dict())
    assert torch.equal(unroll(cell.eval(), x.transpose(0, 1)), unroll(plain, x.transpose(0, 1)))


def test_cell_equals_the_equations_written_out():
    """The LSTM of the paper with masks z_x and z_h, one step after the other, in float64."""
    cell = VariationalLSTMCell(INPUT, HIDDEN, input_dropout=0.3, recurrent_dropout=0.4).double()
    inputs = torch.randn(STEPS, BATCH, INPUT, dtype=torch.double)
    states = unroll(cell, inputs)
    z_x, z_h = cell._input_mask, cell._hidden_mask
    assert set(z_x.unique().tolist()) == {0.0, 1 / 0.7}
    assert len(z_h.unique()) == 2
    for sequence in range(BATCH):
        h = c = torch.zeros(HIDDEN, dtype=torch.double)
        for step in range(STEPS):
            gates = cell.weight_ih @ (inputs[step, sequence] * z_x[sequence]) + cell.bias_ih
            gates = gates + cell.weight_hh @ (h * z_h[sequence]) + cell.bias_hh
            i, f, g, o = gates.split(HIDDEN)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            torch.testing.assert_close(states[step, sequence], h)


def test_cell_keeps_its_masks_until_new_sequences_start():
    cell = VariationalLSTMCell(INPUT, HIDDEN, input_dropout=0.5, recurrent_dropout=0.5)
    inputs = torch.randn(STEPS, BATCH, INPUT)
    first = unroll(cell, inputs)
    assert torch.equal(unroll(cell, inputs), first)
    cell.start_sequences()
    assert not torch.equal(unroll(cell, inputs), first)


def test_gradients_reach_input_and_parameters_through_the_masks():
    cell = VariationalLSTMCell(INPUT, HIDDEN, input_dropout=0.5, recurrent_dropout=0.5)
    inputs = torch.randn(STEPS, BATCH, INPUT, requires_grad=True)
    unroll(cell, inputs).sum().backward()
    kept = (cell._input_mask > 0).expand(STEPS, -1, -1)
    assert torch.equal(inputs.grad != 0, kept)
    assert all(parameter.grad.abs().sum() > 0 for parameter in cell.parameters())


@pytest.mark.parametrize("probability", [-0.1, 1.0, float("nan")])
def test_probabilities_outside_the_range_are_refused(probability):
    with pytest.raises(SettingError, match="^probability must be at least 0 and less than 1"):
        VariationalDropout(probability)
    with pytest.raises(SettingError, match="^input_dropout must be"):
        VariationalLSTMCell(INPUT, HIDDEN, input_dropout=probability, recurrent_dropout=0.0)
    with pytest.raises(SettingError, match="^recurrent_dropout must be"):
        VariationalLSTMCell(INPUT, HIDDEN, input_dropout=0.0, recurrent_dropout=probability)
