"""The distillation loss against a double loop, and its gradients."""

import math

import pytest
import torch

from fairseq_alone.errors import SettingError
from fairseq_alone.modules import distillation as module
from fairseq_alone.modules.distillation import distillation_loss

TOKENS, VOCABULARY, PAD = 5, 9, 1


@pytest.fixture(params=[1.0, 4.0])
def temperature(request):
    return request.param


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(3)
    own, teacher = 3 * torch.randn(2, TOKENS, VOCABULARY, dtype=torch.float64, generator=generator)
    return own, teacher


@pytest.fixture(params=[1, 2, 100], ids=lambda rows: f"{rows} rows a chunk")
def chunks(request, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK_VALUES", request.param * VOCABULARY)


def softmax(values, temperature):
    exponentials = [math.exp(value / temperature) for value in values]
    return [value / sum(exponentials) for value in exponentials]


def test_equals_a_double_loop(logits, temperature, chunks):
    expected = []
    for own, teacher in zip(*(rows.tolist() for rows in logits), strict=True):
        p, q = softmax(teacher, temperature), softmax(own, temperature)
        expected.append(temperature**2 * sum(x * (math.log(x) - math.log(y)) for x, y in zip(p, q, strict=True)))
    assert distillation_loss(*logits, temperature).tolist() == pytest.approx(expected, rel=1e-12)


def test_gradients_by_gradcheck(logits, temperature, chunks):
    own, teacher = logits
    own.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distillation_loss(x, teacher, temperature), (own,))


def test_padding_counts_nothing_and_the_teacher_gets_no_gradient(logits):
    own, teacher = (rows.requires_grad_() for rows in logits)
    targets = torch.tensor([4, PAD, 0, PAD, 2])
    values = distillation_loss(own, teacher, 2.0, targets, PAD)
    assert values[targets == PAD].tolist() == [0, 0]
    assert (values[targets != PAD] > 0).all()
    values.sum().backward()
    assert teacher.grad is None
    assert own.grad[targets == PAD].abs().max() == 0
    assert (own.grad[targets != PAD].abs().sum(dim=1) > 0).all()


def test_zero_for_the_teacher_itself_and_for_a_shift_of_its_logits(logits, temperature):
    _, teacher = logits
    values = distillation_loss(teacher + 5, teacher, temperature)
    torch.testing.assert_close(values, torch.zeros(TOKENS, dtype=torch.float64), atol=1e-12, rtol=0)


def test_half_precision_is_computed_in_float32(logits, temperature):
    own, teacher = (rows.half() for rows in logits)
    own.requires_grad_()
    values = distillation_loss(own, teacher, temperature)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, distillation_loss(own.float(), teacher.float(), temperature))
    values.sum().backward()
    assert own.grad.dtype == torch.float16


def test_bad_input(logits):
    with pytest.raises(SettingError, match="positive"):
        distillation_loss(*logits, 0.0)
    with pytest.raises(ValueError, match=r"\(5, 8\) do not fit a teacher's \(5, 9\)"):
        distillation_loss(logits[0][:, 1:], logits[1], 1.0)
