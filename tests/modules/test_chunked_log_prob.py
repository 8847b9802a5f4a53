"""Log-probabilities without all logits: values and gradients are those of PyTorch's log-softmax in float64."""

import pytest
import torch

from fairseq_alone.modules import DifferentiatedEmbedding, RegularizedProjection, TableEmbedding, TiedProjection
from fairseq_alone.modules import chunked_log_prob as module
from fairseq_alone.modules.chunked_log_prob import chunked_log_prob

SIZES = ((130, 7), (70, 3), (1, 1))  # more than one chunk of 64 words, exactly one and a bit, and a single word
TARGETS = torch.tensor([0, 129, 130, 199, 200, 64, 3, 130])


def parts(dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    return [
        tuple(torch.randn(rows, dim, generator=generator).to(dtype).requires_grad_() for rows in (len(TARGETS), words))
        for words, dim in SIZES
    ]


def expected(given):
    logits = torch.cat([features.double() @ matrix.double().t() for features, matrix in given], 1)
    return logits.log_softmax(1).gather(1, TARGETS[:, None])[:, 0]


def gradients(found, given):
    weights = torch.arange(1.0, len(TARGETS) + 1)
    tensors = [tensor for pair in given for tensor in pair]
    return torch.autograd.grad((found * weights).sum(), tensors)


@pytest.mark.parametrize("chunk", [1, 2**20], ids=["many chunks", "one chunk of a part"])
def test_it_is_the_log_softmax(chunk, monkeypatch):
    monkeypatch.setitem(module._CHUNK, "cpu", chunk)
    given = parts()
    found = chunked_log_prob(given, TARGETS)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected(given).float())
    for ours, theirs in zip(gradients(found, given), gradients(expected(given).float(), given), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_large_logits_do_not_overflow():
    given = [(1000 * features, matrix) for features, matrix in parts()]
    torch.testing.assert_close(chunked_log_prob(given, TARGETS), expected(given).float())


def test_half_precision():
    given = parts(torch.bfloat16)
    found = chunked_log_prob(given, TARGETS)
    torch.testing.assert_close(found, expected(given).float(), rtol=2e-2, atol=2e-2)
    ours = gradients(found, given)
    assert {gradient.dtype for gradient in ours} == {torch.bfloat16}
    for one, other in zip(ours, gradients(expected(given).float(), given), strict=True):
        torch.testing.assert_close(one, other, rtol=5e-2, atol=5e-2)


def test_features_of_another_type_take_that_of_the_matrix():
    ((features, matrix), *_) = parts()
    found = chunked_log_prob([(features.bfloat16(), matrix)], torch.tensor([1] * 8))
    (gradient,) = torch.autograd.grad(found.sum(), [features])
    assert found.dtype == gradient.dtype == torch.float32


def test_without_a_position_or_a_gradient():
    ((features, matrix), *_) = parts()
    assert chunked_log_prob([(features[:0], matrix)], TARGETS[:0]).shape == (0,)
    with torch.no_grad():
        assert not chunked_log_prob([(features, matrix)], torch.tensor([1] * 8)).requires_grad


@pytest.mark.parametrize("kind", ["table", "differentiated", "regularized"])
def test_output_layers_offer_it(kind):
    torch.manual_seed(1)
    embedding = DifferentiatedEmbedding(30, 6, 1, blocks=[[10, 4], [20, 2]]) if kind == "differentiated" else None
    embedding = embedding or TableEmbedding(30, 6, 1)
    layer = RegularizedProjection(embedding, 0.1) if kind == "regularized" else TiedProjection(embedding)
    if kind == "regularized":
        torch.nn.init.normal_(layer.square)
    features, targets = torch.randn(5, 6), torch.tensor([0, 1, 9, 10, 29])
    expected = layer(features).log_softmax(1).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(layer.log_prob(features, targets), expected)
