"""Embeddings that are trained with rounded tensors compute what a compact file of them computes."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F

from fairseq_alone.errors import SettingError
from fairseq_alone.modules import (
    AloneEmbedding,
    CodeEmbedding,
    FactorizedEmbedding,
    FilterSettings,
    TableEmbedding,
    TiedProjection,
    rounding,
)
from fairseq_alone.modules.quantization import rounded
from fairseq_alone.modules.rounding import QUANTIZATION_OF_BITS, Rounding

VOCABULARY, DIM, PAD = 61, 10, 1


def alone(filter="real", **settings):
    filters = FilterSettings(VOCABULARY, 7, filter=filter, num_codebooks=3, codebook_size=5)
    return AloneEmbedding(filters, DIM, PAD, inter_dim=40, free_rows=[(2, DIM), (4, 3)], **settings)


EMBEDDINGS = {
    "table": lambda: TableEmbedding(VOCABULARY, DIM, PAD),
    "factorized": lambda: FactorizedEmbedding(VOCABULARY, DIM, PAD, factorized_dim=3),
    "codes": lambda: CodeEmbedding(
        VOCABULARY, DIM, PAD, num_codebooks=3, codebook_size=5, free_rows=[(2, DIM), (9, 3)]
    ),
    "real": alone,
    "binary": lambda: alone("binary"),
    "three layers": lambda: alone(num_layers=3),
    "fixed base": lambda: alone(fix_base=True),
}


def make(kind, bits=None, after=0):
    torch.manual_seed(3)
    embedding = EMBEDDINGS[kind]()
    if bits:
        embedding.rounding = Rounding(bits, after)
    return embedding


@torch.no_grad()
def with_rounded_tensors(embedding, thorough=True):
    """The same without a rounding: its tensors themselves are rounded."""
    plain, bits = copy.deepcopy(embedding), embedding.rounding.bits
    plain.rounding = None
    for parameter in plain.parameters():
        parameter.copy_(rounded(parameter, QUANTIZATION_OF_BITS[bits], thorough))
    return plain


def assert_same_gradient(parameter, other):
    assert (parameter.grad is None) == (other.grad is None)
    if other.grad is not None:  # not equal: they are sums in another order
        torch.testing.assert_close(parameter.grad, other.grad)


def loss_of(embedding, projection):
    ids = torch.tensor([[0, 2, 3], [3, PAD, 40]])
    return projection(embedding(ids)).logsumexp(-1).sum()


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", EMBEDDINGS)
def test_values_and_gradients_are_those_of_rounded_tensors(kind, bits):
    embedding = make(kind, bits)
    plain = with_rounded_tensors(embedding, thorough=False)
    assert not torch.equal(plain.matrix(), make(kind).matrix())
    assert torch.equal(embedding.matrix(), plain.matrix())
    assert torch.equal(embedding(torch.arange(VOCABULARY)), plain(torch.arange(VOCABULARY)))
    for module in (embedding, plain):
        loss_of(module, TiedProjection(module)).backward()
    for (name, parameter), other in zip(embedding.named_parameters(), plain.parameters(), strict=True):
        assert isinstance(parameter, torch.nn.Parameter)
        assert torch.equal(parameter, make(kind).get_parameter(name))  # what is trained is not rounded
        if other.requires_grad:
            assert other.grad.abs().sum() > 0
        assert_same_gradient(parameter, other)


@pytest.mark.parametrize("kind", [kind for kind in EMBEDDINGS if kind != "table"])
def test_once_per_update(kind):
    embedding = make(kind, 4)
    plain = with_rounded_tensors(embedding, thorough=False)
    for module in (embedding, plain):
        with module.once_per_update():
            for _ in range(2):
                loss_of(module, TiedProjection(module)).backward()
    for parameter, other in zip(embedding.parameters(), plain.parameters(), strict=True):
        assert_same_gradient(parameter, other)


@pytest.mark.parametrize("kind", EMBEDDINGS)
def test_evaluation_always_rounds_as_a_file_does_and_training_from_its_update_on(kind):
    embedding, plain = make(kind, 4, after=3), make(kind)
    of_file, of_training = with_rounded_tensors(embedding), with_rounded_tensors(embedding, thorough=False)
    with torch.no_grad():
        assert torch.equal(embedding.matrix(), plain.matrix())
        assert torch.equal(embedding.eval().matrix(), of_file.eval().matrix())
        embedding.train().rounding.set_num_updates(2)
        assert torch.equal(embedding.matrix(), plain.matrix())
        embedding.rounding.set_num_updates(3)
        assert torch.equal(embedding.matrix(), of_training.matrix())
        assert torch.equal(embedding.eval()(torch.arange(9)), of_file.eval()(torch.arange(9)))


@pytest.mark.parametrize("kind", ["table", "codes"])
def test_tensors_are_rounded_once_for_each_of_their_states(kind, monkeypatch):
    calls = []
    monkeypatch.setattr(rounding, "rounded", lambda tensor, *how: calls.append(how) or rounded(tensor, *how))
    embedding = make(kind, 8)
    optimizer = torch.optim.SGD(embedding.parameters(), 0.1)
    for step in range(1, 4):
        for _ in range(2):
            loss_of(embedding, TiedProjection(embedding)).backward()
        assert torch.equal(embedding.matrix(), with_rounded_tensors(embedding).matrix())
        assert calls == [("int8", False)] * step * len(list(embedding.parameters()))
        optimizer.step()


def test_a_mistake_within_leaves_the_tensors_in_their_places():
    embedding = make("codes", 8)
    own = dict(embedding.named_parameters())
    with pytest.raises(IndexError):
        embedding(torch.tensor([VOCABULARY]))
    assert all(own[name] is parameter for name, parameter in embedding.named_parameters())


def test_copies_have_their_own_values():
    embedding = make("factorized", 8).eval()
    before = embedding.matrix().clone()
    for copied in (copy.deepcopy(embedding), pickle.loads(pickle.dumps(embedding))):
        with torch.no_grad():
            copied.factor.mul_(2)
        assert torch.equal(copied.matrix(), with_rounded_tensors(copied).matrix())
    assert torch.equal(embedding.matrix(), before)


def test_values_that_were_replaced_are_rounded_anew():
    embedding = make("factorized", 8)
    embedding.matrix()
    embedding.factor.data.mul_(2)
    embedding.values_were_replaced()
    assert torch.equal(embedding.matrix(), with_rounded_tensors(embedding).matrix())


def test_half_types_and_conversions():
    embedding = make("table", 8)
    embedding.matrix()
    converted = embedding.half()
    assert converted.matrix().dtype == torch.float16
    assert torch.equal(converted.matrix(), rounded(converted.weight, "int8").half())
    assert list(embedding.state_dict()) == ["weight"]


def test_values_of_inference_mode_do_not_reach_a_later_gradient():
    embedding = make("table", 8).eval()
    with torch.inference_mode():
        embedding.matrix()
    F.linear(torch.ones(1, DIM), embedding.matrix()).sum().backward()
    assert torch.equal(embedding.weight.grad, torch.ones(VOCABULARY, DIM))


@pytest.mark.parametrize(("settings", "words"), [((5,), "must be 8 or 4, got 5"), ((8, -1), "at least 0, got -1")])
def test_refused(settings, words):
    with pytest.raises(SettingError, match=words):
        Rounding(*settings)
