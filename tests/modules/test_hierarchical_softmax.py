"""The hierarchical softmax against a double loop in float64, and the tree that a checkpoint brings."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.modules import AloneEmbedding, FilterSettings, HierarchicalSoftmax, TableEmbedding
from fairseq_alone.modules.word_tree import balanced_tree, huffman_tree, numbered_by_count

WORDS, DIM = 23, 6
COUNTS = np.random.default_rng(1).integers(0, 200, WORDS) ** 2


def nodes(kind="table"):
    torch.manual_seed(1)
    if kind == "table":
        return TableEmbedding(WORDS - 1, DIM)
    embedding = AloneEmbedding(FilterSettings(num_embeddings=WORDS - 1, base_dim=DIM), DIM, None, inter_dim=9)
    embedding.rebuild = "update"
    return embedding


def tree(kind="huffman"):
    children = huffman_tree(COUNTS) if kind == "huffman" else balanced_tree(WORDS)
    return torch.from_numpy(numbered_by_count(children, COUNTS).children)


def layer(embedding="table", kind="huffman"):
    return HierarchicalSoftmax(nodes(embedding), tree(kind))


def features(*shape, scale=1.0):
    return scale * torch.randn(*shape, DIM, generator=torch.Generator().manual_seed(2))


def double_loop(module, vectors, position):
    """Log-probabilities of all words for one position, by a walk in float64."""
    matrix, h = module.embedding.matrix().double().tolist(), vectors[position].double().tolist()
    found = {}

    def descend(child, log_prob):
        if child < 0:
            found[~child] = log_prob
            return
        score = sum(a * b for a, b in zip(matrix[child], h, strict=True))
        for side, sign in enumerate((1, -1)):
            descend(int(module.tree[child, side]), log_prob - math.log1p(math.exp(-sign * score)))

    descend(0, 0.0)
    return [found[word] for word in range(module.num_words)]


@pytest.mark.parametrize("embedding", ["table", "alone"])
@pytest.mark.parametrize("kind", ["huffman", "balanced"])
@torch.no_grad()
def test_it_is_the_double_loop(embedding, kind):
    module, vectors = layer(embedding, kind), features(5, scale=3.0)
    expected = torch.tensor([double_loop(module, vectors, position) for position in range(5)])
    torch.testing.assert_close(module(vectors), expected, rtol=1e-5, atol=1e-5)
    for word in range(WORDS):
        found = module.log_prob(vectors, torch.full((5,), word))
        torch.testing.assert_close(found, expected[:, word], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_probabilities_add_up_to_one(scale):
    sums = layer()(features(2, 3, scale=scale)).exp().sum(-1)
    assert sums.shape == (2, 3)
    torch.testing.assert_close(sums, torch.ones(2, 3), rtol=0, atol=1e-5)


@pytest.mark.parametrize("embedding", ["table", "alone"])
def test_both_ways_have_one_gradient(embedding):
    targets = torch.tensor([3, 1, 22, 3, 0])
    module, gradients = layer(embedding), []
    for log_prob in (module.log_prob, lambda h, words: module(h).gather(1, words[:, None])[:, 0]):
        vectors = features(5).requires_grad_()
        module.embedding.zero_grad()
        log_prob(vectors, targets).pow(2).sum().backward()
        gradients.append([vectors.grad, *(parameter.grad for parameter in module.embedding.parameters())])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_only_the_paths_are_computed(monkeypatch):
    module = layer("alone").train()
    asked = []
    compute = AloneEmbedding.compute

    def asked_compute(self, ids, input_dropout=False):
        asked.append(ids)
        return compute(self, ids, input_dropout)

    monkeypatch.setattr(AloneEmbedding, "compute", asked_compute)
    monkeypatch.setattr(AloneEmbedding, "matrix", None)
    target = int(COUNTS.argmax())
    with module.embedding.once_per_update():
        module.log_prob(features(3), torch.full((3,), target)).sum().backward()
    (ids,) = asked
    path = module._nodes[module._starts[target] : module._starts[target + 1]]
    assert sorted(ids.tolist()) == sorted(path.tolist())
    assert len(path) < 4


def test_nodes_have_no_dropout():
    embedding = AloneEmbedding(
        FilterSettings(num_embeddings=WORDS - 1, base_dim=DIM), DIM, None, inter_dim=9, dropout=0.9
    ).train()
    module = HierarchicalSoftmax(embedding, tree()).train()
    found = [module.log_prob(features(2), torch.tensor([1, 2])) for _ in range(2)]
    assert torch.equal(*found)


def test_no_target_and_half_precision():
    assert layer().log_prob(features(0), torch.zeros(0, dtype=torch.long)).shape == (0,)
    module = layer()
    half = copy.deepcopy(module)
    half.embedding.half()
    assert half.log_prob(features(2).half(), torch.tensor([1, 2])).dtype == torch.float32
    assert half(features(2).half()).dtype == torch.float32
    torch.testing.assert_close(half(features(2).half()), module(features(2)), rtol=1e-2, atol=1e-2)


def test_a_checkpoint_brings_its_tree():
    module, other = layer(kind="huffman"), layer(kind="balanced")
    saved = module.state_dict()
    assert {name: value.dtype for name, value in saved.items()} == {"tree": torch.int32}
    assert saved["tree"].shape == (WORDS - 1, 2)
    other.embedding.load_state_dict(module.embedding.state_dict())
    assert not torch.allclose(other(features(2)), module(features(2)))
    other.load_state_dict(saved)
    assert torch.equal(other(features(2)), module(features(2)))
    targets = torch.tensor([4, 22])
    assert torch.equal(other.log_prob(features(2), targets), module.log_prob(features(2), targets))


def test_a_tree_that_is_awaited_must_come_first():
    module = HierarchicalSoftmax(nodes(), tree("balanced"), awaits="there is no such file")
    for use in (lambda: module(features(1)), lambda: module.log_prob(features(1), torch.tensor([1]))):
        with pytest.raises(UserError, match="there is no such file"):
            use()
    with pytest.raises(RuntimeError, match="Missing key"):
        module.load_state_dict({})
    with pytest.raises(UserError, match="there is no such file"):
        module(features(1))
    module.load_state_dict(layer().state_dict())
    module(features(1))


def test_what_is_refused():
    with pytest.raises(SettingError, match="must have 22 nodes, got 23"):
        HierarchicalSoftmax(TableEmbedding(WORDS, DIM), tree())
    with pytest.raises(ValueError, match="no binary tree"):
        layer().load_state_dict({"tree": torch.zeros(WORDS - 1, 2, dtype=torch.int32)})


def test_the_embedding_is_registered_elsewhere():
    module = layer()
    assert list(module.parameters()) == []
    copied = copy.deepcopy(nn.ModuleList([module.embedding, module]))
    assert copied[1].embedding is copied[0]
