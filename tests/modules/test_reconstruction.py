"""Given vectors rebuilt: equation 4 and Adam by hand, and a training that goes on as if it had not stopped."""

import pytest
import torch

from fairseq_alone.modules import AloneEmbedding, FilterSettings
from fairseq_alone.modules.reconstruction import Reconstruction

VECTORS = torch.randn(20, 4, generator=torch.Generator().manual_seed(1))


def embedding(**settings):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return AloneEmbedding(FilterSettings(20, 4, filter="real"), 4, inter_dim=6, **settings).train()


def test_an_epoch_by_hand():
    own, other = embedding(), embedding()
    training = Reconstruction(own, VECTORS, batch=8, seed=3)
    order = training._order()
    assert sorted(order.tolist()) == list(range(20))
    loss = training.train_epoch()
    optimizer, total = torch.optim.Adam(other.parameters()), 0.0
    for ids in (order[:8], order[8:16], order[16:]):
        optimizer.zero_grad()
        hidden = torch.relu((other.filters(ids) * other.o) @ other.w1.t())
        squares = ((hidden @ other.w2.t() - VECTORS[ids]) ** 2).sum(1)
        squares.mean().backward()
        optimizer.step()
        total += squares.sum().item()
    assert loss == pytest.approx(total / 20, rel=1e-5)
    for first, second in zip(own.parameters(), other.parameters(), strict=True):
        assert torch.allclose(first, second, atol=1e-6)
    assert not torch.equal(order, training._order())


def test_it_goes_on_as_if_nothing_had_happened():
    whole = Reconstruction(embedding(), VECTORS, batch=8, seed=3)
    for _ in range(4):
        whole.train_epoch()
    first = Reconstruction(embedding(), VECTORS, batch=8, seed=3)
    first.train_epoch()
    first.train_epoch()
    # In another process: other values at first.
    changed = embedding()
    with torch.no_grad():
        changed.w1.add_(1)
    second = Reconstruction(changed, VECTORS, batch=8, seed=3)
    second.load_state_dict(first.state_dict())
    assert second.epochs == 2
    second.train_epoch()
    second.train_epoch()
    assert second.losses == whole.losses
    assert torch.equal(second.embedding.matrix(), whole.embedding.matrix())
    assert whole.losses[-1] < whole.losses[0]


def test_a_fixed_base_stays():
    fixed, trained = embedding(fix_base=True), embedding()
    before = fixed.o.clone()
    assert torch.equal(before, trained.o)
    for one in (fixed, trained):
        Reconstruction(one, VECTORS, batch=8, seed=3).train_epoch()
    assert torch.equal(fixed.o, before)
    assert not torch.equal(trained.o, before)


def test_another_seed_has_another_order():
    first, second = (Reconstruction(embedding(), VECTORS, batch=8, seed=seed) for seed in (3, 4))
    assert not torch.equal(first._order(), second._order())
