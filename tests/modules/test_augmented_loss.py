"""The augmented loss against a double loop, and its gradients."""

import math

import pytest
import torch

from fairseq_alone.errors import SettingError
from fairseq_alone.modules import augmented_loss as module
from fairseq_alone.modules.augmented_loss import augmented_loss

TOKENS, VOCABULARY, DIM, PAD = 7, 9, 4, 1


@pytest.fixture(params=[1.0, 10.0])
def temperature(request):
    return request.param


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(11)
    logits = 3 * torch.randn(TOKENS, VOCABULARY, dtype=torch.float64, generator=generator)
    matrix = torch.randn(VOCABULARY, DIM, dtype=torch.float64, generator=generator)
    return logits, torch.tensor([4, PAD, 0, 4, 8, 4, PAD]), matrix


@pytest.fixture(params=[1, 2, 100], ids=lambda rows: f"{rows} rows a chunk")
def chunks(request, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK_VALUES", request.param * VOCABULARY)


def softmax(values):
    largest = max(values)
    exponentials = [math.exp(value - largest) for value in values]
    return [value / sum(exponentials) for value in exponentials]


def loss_by_loop(logits, target, matrix, temperature):
    similarities = [sum(x * y for x, y in zip(row, matrix[target], strict=True)) / temperature for row in matrix]
    goals, model = softmax(similarities), softmax([logit / temperature for logit in logits])
    return sum(goal * (math.log(goal) - math.log(output)) for goal, output in zip(goals, model, strict=True))


def test_equals_a_double_loop(inputs, temperature, chunks):
    logits, targets, matrix = inputs
    expected = [
        0.0 if target == PAD else loss_by_loop(row, target, matrix.tolist(), temperature)
        for row, target in zip(logits.tolist(), targets.tolist(), strict=True)
    ]
    actual = augmented_loss(logits, targets, matrix, temperature, PAD)
    assert actual.tolist() == pytest.approx(expected, abs=1e-6)
    assert augmented_loss(logits, targets, matrix, temperature)[1].item() == pytest.approx(
        loss_by_loop(logits[1].tolist(), PAD, matrix.tolist(), temperature), abs=1e-6
    )


def test_gradients_by_gradcheck(inputs, temperature, chunks):
    logits, targets, matrix = inputs
    logits.requires_grad_()
    matrix.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, m: augmented_loss(x, targets, m, temperature, PAD), (logits, matrix))
    assert torch.autograd.gradcheck(lambda x: augmented_loss(x, targets, matrix.detach(), temperature, PAD), (logits,))
    assert torch.autograd.gradcheck(lambda m: augmented_loss(logits.detach(), targets, m, temperature, PAD), (matrix,))


def test_a_detached_matrix_gets_no_gradient_and_padding_gives_none(inputs):
    logits, targets, matrix = inputs
    logits.requires_grad_()
    matrix.requires_grad_()
    augmented_loss(logits, targets, matrix.detach(), 1.0, PAD).sum().backward()
    assert matrix.grad is None
    assert logits.grad[targets == PAD].abs().max() == 0
    assert (logits.grad[targets != PAD].abs().sum(dim=1) > 0).all()


def test_zero_where_the_model_agrees_with_the_embedding(inputs, temperature):
    _, targets, matrix = inputs
    values = augmented_loss(matrix[targets] @ matrix.t(), targets, matrix, temperature)
    torch.testing.assert_close(values, torch.zeros(TOKENS, dtype=torch.float64), atol=1e-12, rtol=0)


def test_half_precision_is_computed_in_float32(inputs):
    logits, targets, matrix = inputs
    half = logits.half().requires_grad_()
    values = augmented_loss(half, targets, matrix.half(), 1.0, PAD)
    assert values.dtype == torch.float32
    expected = augmented_loss(logits, targets, matrix, 1.0, PAD)
    torch.testing.assert_close(values.double(), expected, atol=2e-2, rtol=2e-2)
    values.sum().backward()
    assert half.grad.dtype == torch.float16


def test_autocast_does_not_reach_it(inputs):
    logits, targets, matrix = (tensor.float() if tensor.is_floating_point() else tensor for tensor in inputs)
    expected = augmented_loss(logits, targets, matrix, 1.0, PAD)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(augmented_loss(logits, targets, matrix, 1.0, PAD), expected)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_bad_temperature_is_refused(inputs, temperature):
    with pytest.raises(SettingError, match="temperature must be a positive number"):
        augmented_loss(*inputs, temperature)


def test_another_vocabulary_is_refused(inputs):
    logits, targets, matrix = inputs
    with pytest.raises(ValueError, match="logits over 9 words do not fit a matrix of 8 words"):
        augmented_loss(logits, targets, matrix[:8], 1.0)
