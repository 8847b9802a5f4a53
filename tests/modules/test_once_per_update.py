"""The matrix of an update: built once, and the same gradients as if it had been built by every micro-batch."""

import copy

import pytest
import torch
import torch.nn.functional as F

from fairseq_alone.modules import AloneEmbedding, FactorizedEmbedding, FilterSettings, TiedProjection

VOCABULARY, DIM, PAD = 61, 10, 1
IDS = [torch.tensor(ids) for ids in ([3, 3, PAD, 9], [5, 60, 3, 2], [8, 8, 8, 0])]


def alone(**settings):
    torch.manual_seed(3)
    filters = FilterSettings(VOCABULARY, 7, num_codebooks=3, codebook_size=5)
    return AloneEmbedding(filters, DIM, PAD, inter_dim=12, **settings)


@pytest.fixture(params=["alone", "factorized"])
def embedding(request):
    return alone() if request.param == "alone" else FactorizedEmbedding(VOCABULARY, DIM, PAD, factorized_dim=3)


def loss(embedding, ids):
    """Look-ups and output layer, like a language model."""
    projection = TiedProjection(embedding)
    features = torch.tanh(embedding(ids)) + 0.1 * embedding(ids.flip(0))
    return F.cross_entropy(projection(features), ids)


def gradients(embedding):
    return [None if p.grad is None else p.grad.clone() for p in embedding.parameters()]


def accumulated(embedding, batches=IDS):
    """Gradients the ordinary way: every batch builds its own."""
    embedding.zero_grad()
    for ids in batches:
        loss(embedding, ids).backward()
    return gradients(embedding)


def count_builds(embedding, monkeypatch):
    builds, original = [], embedding.build_matrix
    monkeypatch.setattr(embedding, "build_matrix", lambda: builds.append(1) or original())
    return builds


def assert_same(first, second, **tolerance):
    assert len(first) == len(second) > 0
    for ours, theirs in zip(first, second, strict=True):
        torch.testing.assert_close(ours, theirs, **tolerance)


def test_gradients_are_those_of_all_micro_batches(embedding, monkeypatch):
    expected = accumulated(embedding)
    assert all(gradient.abs().max() > 1e-4 for gradient in expected)
    embedding.zero_grad()
    builds = count_builds(embedding, monkeypatch)
    with embedding.once_per_update():
        for ids in IDS:
            loss(embedding, ids).backward()
            assert gradients(embedding) == [None] * len(expected)
    assert_same(gradients(embedding), expected, rtol=1e-4, atol=1e-6)
    assert len(builds) == 1


def test_the_next_update_reads_new_values(embedding):
    optimizers = []
    twin = copy.deepcopy(embedding)
    for module in (embedding, twin):
        optimizers.append(torch.optim.SGD(module.parameters(), lr=0.5))
    for _ in range(3):
        optimizers[0].zero_grad()
        with embedding.once_per_update():
            for ids in IDS:
                loss(embedding, ids).backward()
        accumulated(twin)
        for optimizer in optimizers:
            optimizer.step()
    assert_same(list(embedding.parameters()), list(twin.parameters()), rtol=1e-4, atol=1e-5)


def test_gradients_add_to_those_that_are_there(embedding):
    expected = accumulated(embedding, [*IDS, IDS[0]])
    embedding.zero_grad()
    loss(embedding, IDS[0]).backward()
    with embedding.once_per_update():
        for ids in IDS:
            loss(embedding, ids).backward()
    assert_same(gradients(embedding), expected, rtol=1e-4, atol=1e-6)


def test_float32_accumulation_in_half_precision():
    """256 gradients of 1 and one of 2048: float16 would lose the small ones."""
    embedding = alone().half()
    with embedding.once_per_update():
        for scale in [2048.0] + [1.0] * 256:
            matrix = embedding.matrix()
            assert matrix.dtype == torch.float16
            (matrix[4].sum() * scale).backward()
        assert embedding._update._leaf.grad[4].tolist() == [2304.0] * DIM
    assert embedding.w1.grad.dtype == torch.float16


def test_half_precision_gradients_are_close():
    embedding = alone().half()
    expected = accumulated(copy.deepcopy(embedding).float())
    with embedding.once_per_update():
        for ids in IDS:
            loss(embedding, ids).backward()
    for ours, theirs in zip(gradients(embedding), expected, strict=True):
        assert ours.dtype == torch.float16
        torch.testing.assert_close(ours.float(), theirs, rtol=0.05, atol=0.02 * theirs.abs().max().item())


def test_dropout_stays_with_the_lookups_of_each_micro_batch(monkeypatch):
    """With dropout on, look-ups do not read the matrix; the same masks give the same gradients."""
    embedding = alone(dropout=0.5)
    torch.manual_seed(7)
    expected = accumulated(embedding)
    embedding.zero_grad()
    builds = count_builds(embedding, monkeypatch)
    torch.manual_seed(7)
    with embedding.once_per_update():
        for ids in IDS:
            loss(embedding, ids).backward()
        assert (embedding(IDS[1]) - embedding.matrix()[IDS[1]]).abs().max() > 1e-3
    assert_same(gradients(embedding), expected, rtol=1e-4, atol=1e-6)
    assert len(builds) == 1
    embedding.dropout_until = 5
    assert embedding.serves_output
    embedding.set_num_updates(5)
    with embedding.once_per_update():
        assert torch.equal(embedding(IDS[1]), embedding.matrix()[IDS[1]])


def test_evaluation_within_an_update_has_its_own_matrix(embedding):
    expected = accumulated(embedding)
    embedding.zero_grad()
    with embedding.once_per_update():
        for ids in IDS:
            loss(embedding, ids).backward()
            embedding.eval()
            with torch.no_grad():
                torch.testing.assert_close(embedding(ids), embedding.matrix()[ids])
            embedding.train()
    assert_same(gradients(embedding), expected, rtol=1e-4, atol=1e-6)


def test_reads_without_gradient_leave_none(embedding):
    with embedding.once_per_update(), torch.no_grad():
        embedding.matrix()
        embedding(IDS[0])
    assert gradients(embedding) == [None] * len(gradients(embedding))


def test_the_first_read_without_gradient_does_not_cut_the_later_ones(embedding):
    expected = accumulated(embedding)
    embedding.zero_grad()
    with embedding.once_per_update():
        with torch.no_grad():
            embedding.matrix()
        for ids in IDS:
            loss(embedding, ids).backward()
    assert_same(gradients(embedding), expected, rtol=1e-4, atol=1e-6)


def test_recomputed_activations_give_the_same_gradients(embedding):
    expected = accumulated(embedding)
    embedding.zero_grad()
    for reentrant in (False, True):
        embedding.zero_grad()
        with embedding.once_per_update():
            for ids in IDS:
                # The reentrant kind needs an input with a gradient.
                one = torch.ones((), requires_grad=True)
                torch.utils.checkpoint.checkpoint(
                    lambda one, ids=ids: loss(embedding, ids) * one, one, use_reentrant=reentrant
                ).backward()
        assert_same(gradients(embedding), expected, rtol=1e-4, atol=1e-6)


def test_an_error_drops_the_gradient(embedding):
    def failing():
        with embedding.once_per_update():
            loss(embedding, IDS[0]).backward()
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert gradients(embedding) == [None] * len(gradients(embedding))
    assert not embedding.in_update


def test_a_dropped_gradient_is_gone(embedding):
    expected = accumulated(embedding, IDS[1:])
    embedding.zero_grad()
    with embedding.once_per_update():
        loss(embedding, IDS[0]).backward()
        embedding.drop_gradient()
        for ids in IDS[1:]:
            loss(embedding, ids).backward()
    assert_same(gradients(embedding), expected, rtol=1e-4, atol=1e-6)


def test_a_step_within_an_update_is_an_error(embedding):
    optimizer = torch.optim.SGD(embedding.parameters(), lr=0.1)

    def wrong_loop():
        with embedding.once_per_update():
            loss(embedding, IDS[0]).backward()
            for parameter in embedding.parameters():
                parameter.grad = torch.ones_like(parameter)
            optimizer.step()

    with pytest.raises(RuntimeError, match="parameters were changed within an update"):
        wrong_loop()


@pytest.mark.parametrize("event", ["load", "convert", "begin"])
def test_what_must_not_happen_within_an_update(embedding, event):
    events = {
        "load": lambda: embedding.load_state_dict(embedding.state_dict()),
        "convert": embedding.double,
        "begin": embedding.begin_update,
    }
    with pytest.raises(RuntimeError, match="within an update"), embedding.once_per_update():
        events[event]()


def test_a_copy_made_within_an_update_is_in_none(embedding):
    with embedding.once_per_update():
        loss(embedding, IDS[0]).backward()
        twin = copy.deepcopy(embedding)
        assert not twin.in_update
        twin.load_state_dict(embedding.state_dict())


def test_end_tells_of_a_lost_gradient(embedding):
    embedding.begin_update()
    assert not embedding.end_update()
    embedding.begin_update()
    loss(embedding, IDS[0]).backward()
    assert embedding.end_update()
    embedding.begin_update()
    loss(embedding, IDS[0]).backward()
    embedding.push_gradient()
    assert not embedding.end_update()


def test_input_words_alone_need_no_matrix(embedding, monkeypatch):
    """Without an output layer, look-ups compute their own rows; once the matrix is there, they read it."""
    builds = count_builds(embedding, monkeypatch)
    with embedding.once_per_update():
        embedding(IDS[0]).sum().backward()
        assert not builds
        assert all(gradient is not None for gradient in gradients(embedding))
        assert torch.equal(embedding.matrix()[IDS[0]], embedding(IDS[0]))
    assert len(builds) == 1


def test_a_frozen_embedding_trains_the_rest():
    embedding = alone()
    embedding.requires_grad_(False)
    features = torch.randn(3, DIM, requires_grad=True)
    with embedding.once_per_update():
        TiedProjection(embedding)(features).square().sum().backward()
    assert features.grad.abs().sum() > 0
