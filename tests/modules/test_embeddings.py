"""What every computed embedding promises, and ALONE's equations against a plain loop."""

import contextlib
import copy

import pytest
import torch
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fairseq_alone.errors import SettingError
from fairseq_alone.modules import (
    AloneEmbedding,
    CharCnnEmbedding,
    FactorizedEmbedding,
    FilterSettings,
    TensorProductEmbedding,
    TiedProjection,
)
from fairseq_alone.modules.spelling import spelling_of

VOCABULARY, DIM, PAD = 61, 10, 1


def alone(filter="binary", base_dim=7, inter_dim=12, **settings):
    filters = FilterSettings(VOCABULARY, base_dim, filter=filter, num_codebooks=3, codebook_size=5)
    return AloneEmbedding(filters, DIM, PAD, inter_dim=inter_dim, **settings)


def char_cnn():
    spelling = spelling_of([None, None, *(f"w{number}" for number in range(2, VOCABULARY))], 9)
    filters = [(1, 2), (2, 2)]
    return CharCnnEmbedding(spelling, DIM, PAD, character_dim=2, filters=filters)


EMBEDDINGS = {
    "binary": alone,
    "real": lambda: alone("real"),
    "naive": lambda: alone("naive"),
    "one layer": lambda: alone(num_layers=1),
    "three layers": lambda: alone("real", num_layers=3),
    "fixed base": lambda: alone(fix_base=True),
    "published start": lambda: alone("real", init="published"),
    "free rows": lambda: alone("real", base_dim=19, free_rows=[(2, DIM), (4, 3)]),
    "factorized": lambda: FactorizedEmbedding(VOCABULARY, DIM, PAD, factorized_dim=3),
    "characters": char_cnn,
    "tensor product": lambda: TensorProductEmbedding(VOCABULARY, DIM, PAD, order=3, rank=4, normalize=True),
}


@pytest.fixture(params=EMBEDDINGS)
def embedding(request):
    torch.manual_seed(3)
    return EMBEDDINGS[request.param]()


@pytest.mark.parametrize("kind", ["binary", "real"])
def test_embedding_equals_equations_1_to_3_in_a_loop(kind):
    """e_w = W2 relu(W1 (m_w * o)), one product at a time, in float64."""
    torch.manual_seed(5)
    embedding = alone(kind)
    bank, base = embedding.filters, embedding.o.tolist()
    first, second = embedding.w1.tolist(), embedding.w2.tolist()
    for word in (0, PAD, 2, 17, VOCABULARY - 1):
        filtered = []
        for dimension in range(7):
            value = 0.0
            for position in range(3):
                source = bank.codebooks[position][int(bank.codes[word][position])][dimension].item()
                value = max(value, source) if kind == "binary" else value + source
            filtered.append(0.0 if word == PAD else value * base[dimension])
        hidden = [max(0.0, sum(w * x for w, x in zip(row, filtered, strict=True))) for row in first]
        expected = [sum(w * h for w, h in zip(row, hidden, strict=True)) for row in second]
        actual = embedding(torch.tensor(word)).tolist()
        assert actual == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_lookup_equals_rows_of_the_matrix(embedding):
    ids = torch.tensor([[5, 60, 1], [0, 5, 5]])
    for training in (True, False):
        embedding.train(training)
        torch.testing.assert_close(embedding(ids), embedding.matrix()[ids])
        with torch.no_grad():
            torch.testing.assert_close(embedding(ids), embedding.matrix()[ids])
    assert embedding(ids).shape == (2, 3, DIM)
    assert embedding.matrix().shape == (VOCABULARY, DIM)
    assert embedding(torch.zeros(2, 0, dtype=torch.long)).shape == (2, 0, DIM)


def test_padding_vector_is_zero_and_stays_zero(embedding):
    optimizer = torch.optim.Adam([p for p in embedding.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        # As an output word the padding gets a gradient.
        (
            TiedProjection(embedding)(torch.ones(2, DIM)).logsumexp(-1).sum() + embedding(torch.tensor([PAD, 4])).sum()
        ).backward()
        optimizer.step()
    assert embedding.matrix()[PAD].abs().max() == 0


def test_contract_names(embedding):
    assert (embedding.num_embeddings, embedding.embedding_dim, embedding.padding_idx) == (VOCABULARY, DIM, PAD)
    assert not any(name.endswith("weight") for name, _ in embedding.named_parameters())
    assert "weight" not in embedding.state_dict()
    torch.testing.assert_close(embedding.weight, embedding.matrix())


def test_eval_matrix_is_computed_once(embedding, monkeypatch):
    builds = []
    original = embedding.build_matrix
    monkeypatch.setattr(embedding, "build_matrix", lambda: builds.append(1) or original())
    embedding.eval()
    with torch.no_grad():
        whole = embedding.matrix()
        embedding(torch.arange(20))
        assert embedding.matrix() is whole
    assert len(builds) == 1
    torch.testing.assert_close(whole, embedding.compute(torch.arange(VOCABULARY)))


def change_parameters(embedding):
    """As fairseq's optimizers do: a change of ``.data`` does not count as one of the parameter."""
    for parameter in embedding.parameters():
        parameter.data.add_(0.25)


def test_a_change_in_place_drops_the_cache(embedding):
    """A moving average of the model: its parameters change in evaluation, without gradients."""
    average = AveragedModel(embedding, multi_avg_fn=get_ema_multi_avg_fn(0.5)).eval()
    with torch.no_grad():
        for _ in range(3):
            before = average(torch.arange(5)).clone()
            change_parameters(embedding)
            average.update_parameters(embedding)
            assert not torch.equal(average(torch.arange(5)), before)
            torch.testing.assert_close(average.module.matrix(), average.module.compute(torch.arange(VOCABULARY)))


def test_other_parameters_in_place_of_the_old_ones_drop_the_cache(embedding):
    """``torch.func``, a new Parameter, new storage: each gives the matrix of the parameters that are there now."""
    embedding.eval()
    names, state = list(dict(embedding.named_parameters())), copy.deepcopy(embedding.state_dict())
    ids, other = torch.arange(VOCABULARY), copy.deepcopy(embedding)

    def check():
        torch.testing.assert_close(embedding.matrix(), embedding.build_matrix(), rtol=0, atol=1e-5)

    with torch.no_grad():
        for factor in (1, 2, 3):
            scaled = {name: factor * state[name] for name in names}
            found = torch.func.functional_call(embedding, scaled, ids)
            other.load_state_dict(state | scaled)
            torch.testing.assert_close(found, other.build_matrix(), rtol=0, atol=1e-5)
        for _ in range(3):
            module_name, _, name = names[-1].rpartition(".")
            setattr(
                embedding.get_submodule(module_name), name, torch.nn.Parameter(0.5 * embedding.get_parameter(names[-1]))
            )
            check()
        for factor in (2.0, 3.0):
            values = factor * torch.nn.utils.parameters_to_vector(embedding.parameters())
            torch.nn.utils.vector_to_parameters(values, embedding.parameters())
            check()
        copied = copy.deepcopy(embedding)
        copied.matrix()
        found = torch.func.functional_call(copied, {names[-1]: 5 * copied.get_parameter(names[-1])}, ids)
        assert not torch.equal(found, copied.matrix())


def test_a_build_that_fails_leaves_nothing_that_looks_up_to_date(embedding, monkeypatch):
    embedding.eval()
    with torch.no_grad():
        before = embedding.matrix().clone()
        for parameter in embedding.parameters():
            parameter.mul_(2)
        with monkeypatch.context() as patch:
            patch.setattr(embedding, "build_matrix", lambda: (_ for _ in ()).throw(MemoryError))
            with pytest.raises(MemoryError):
                embedding.matrix()
        assert not torch.equal(embedding.matrix(), before)


@pytest.mark.parametrize("in_update", [False, True])
def test_an_optimizer_that_does_not_count_versions_drops_the_cache(embedding, in_update):
    """Fused optimizers, and in evaluation mode: nothing but the step tells of the change."""
    embedding.eval()
    projection = TiedProjection(embedding)
    optimizer = torch.optim.AdamW([p for p in embedding.parameters() if p.requires_grad], lr=0.1, fused=True)
    features = torch.randn(4, DIM, generator=torch.Generator().manual_seed(1))
    for _ in range(3):
        with embedding.once_per_update() if in_update else contextlib.nullcontext():
            projection(features).square().sum().backward()
        with torch.no_grad():
            projection(features)  # a metric between the gradient and the step
        optimizer.step()
        with torch.no_grad():
            torch.testing.assert_close(embedding.matrix(), embedding.compute(torch.arange(VOCABULARY)))


def test_parameters_of_inference_mode_can_be_looked_up(embedding):
    with torch.inference_mode():
        other = copy.deepcopy(embedding).eval()
        torch.testing.assert_close(other(torch.arange(5)), other.matrix()[:5])


@pytest.mark.parametrize("kind", ["binary", "real", "naive"])
def test_the_default_dtype_is_that_of_the_filters_too(kind):
    torch.set_default_dtype(torch.float64)
    try:
        embedding = alone(filter=kind)
        assert embedding.matrix().dtype == embedding(torch.arange(3)).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("event", ["train", "load", "half", "to"])
def test_cache_is_dropped(embedding, event):
    embedding.eval()
    with torch.no_grad():
        before = embedding.matrix().clone()
        if event == "load":
            other = copy.deepcopy(embedding)
            change_parameters(other)
            embedding.load_state_dict(other.state_dict())
        else:
            change_parameters(embedding)
            if event == "train":
                embedding.train().eval()
            elif event == "half":
                embedding.half().float()
            else:
                embedding.to(torch.float64).to(torch.float32)
        assert (embedding.matrix() - before).abs().max() > 0.01


def test_eval_with_gradients_is_differentiable(embedding):
    embedding.eval()
    with torch.no_grad():
        embedding.matrix()
    embedding.matrix().square().sum().backward()
    for parameter in embedding.parameters():
        assert (parameter.grad is not None) == parameter.requires_grad


def test_training_in_evaluation_mode_drops_the_cache(embedding):
    """Fine-tuning without dropout: gradients in eval mode, and a validation after every step."""
    embedding.eval()
    for _ in range(2):
        with torch.no_grad():
            before = embedding.matrix().clone()
        embedding(torch.tensor([3, 4])).square().sum().backward()
        change_parameters(embedding)
        with torch.no_grad():
            assert not torch.equal(embedding.matrix(), before)


def test_cache_is_not_made_in_the_dtype_of_an_autocast_region(embedding):
    embedding.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert embedding.matrix().dtype == torch.float32


def test_gradient_of_lookup_and_projection_by_autograd(embedding):
    """gradcheck in float64, over the sum of both uses of the tied embedding."""
    embedding.double()
    parameters = [p for p in embedding.parameters() if p.requires_grad]
    ids = torch.tensor([3, 3, 1, 9])
    features = torch.randn(2, DIM, dtype=torch.float64)

    def both_uses(*_):
        return embedding(ids), TiedProjection(embedding)(features)

    assert torch.autograd.gradcheck(both_uses, parameters)


def test_copies_and_half_precision(embedding):
    twin = copy.deepcopy(embedding)
    change_parameters(twin)
    assert not torch.equal(twin.matrix(), embedding.matrix())
    half = copy.deepcopy(embedding).half()
    assert half(torch.tensor([3])).dtype == torch.float16
    torch.testing.assert_close(half.matrix().float(), embedding.matrix(), atol=5e-3, rtol=1e-2)


@pytest.mark.parametrize("kind", ["binary", "real"])
@pytest.mark.parametrize("inter_dim", [256, 1024, pytest.param(8192, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("base_dim", "dim"), [(128, 128), (512, 512), (1024, 128)])
def test_initial_scale_does_not_depend_on_the_settings(kind, inter_dim, base_dim, dim):
    embedding = AloneEmbedding(FilterSettings(3000, base_dim, filter=kind), dim, 1, inter_dim=inter_dim)
    with torch.no_grad():
        assert embedding.eval().matrix().std().item() == pytest.approx(dim**-0.5, rel=0.1)


@pytest.mark.parametrize(
    "settings", [{"num_layers": 1}, {"num_layers": 3}, {"zero_probability": 0.9}, {"filter_std": 9.0}]
)
def test_initial_scale_with_other_settings(settings):
    layers = settings.pop("num_layers", 2)
    kind = "real" if "filter_std" in settings else "binary"
    embedding = AloneEmbedding(
        FilterSettings(3000, 128, filter=kind, **settings), 128, 1, inter_dim=512, num_layers=layers
    )
    assert embedding.matrix().std().item() == pytest.approx(128**-0.5, rel=0.1)


def test_balanced_initial_values_stay_what_they_were():
    """Recorded before there was another start; a seed must go on meaning the same model."""
    recorded = {
        "o": [0.59804946, 0.65257686, 0.22678888],
        "w1": [-0.02486669, 0.11676098, -0.25371975],
        "w2": [0.11854073, 0.27687934, -0.07850017],
    }
    for settings in ({}, {"init": "balanced"}):
        torch.manual_seed(3)
        embedding = alone(**settings)
        for name, values in recorded.items():
            assert getattr(embedding, name).flatten()[:3].tolist() == pytest.approx(values, rel=1e-6), name


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(
    ("kind", "deviation"),
    # D_e + D_inter is 32 with each number of layers: 32 ** -0.05 and 32 ** -0.3.
    [("binary", 0.840896), ("naive", 0.840896), ("real", 0.353553)],
)
def test_published_initial_values_have_the_authors_distributions(kind, deviation, layers):
    torch.manual_seed(4)
    dim, inter_dim = (32, 50) if layers == 1 else (24, 8)
    filters = FilterSettings(20, 20000, filter=kind)
    embedding = AloneEmbedding(filters, dim, 1, inter_dim=inter_dim, num_layers=layers, init="published")
    assert embedding.o.mean().item() == pytest.approx(0, abs=0.03 * deviation)
    assert embedding.o.std().item() == pytest.approx(deviation, rel=0.03)
    # Normal: 68.27 % of the values within one deviation. Uniform: none beyond the bound.
    assert (embedding.o.abs() < deviation).float().mean().item() == pytest.approx(0.6827, abs=0.02)
    for layer in embedding.layers:
        bound = (6 / sum(layer.shape)) ** 0.5
        assert 0.9 * bound < layer.abs().max().item() <= bound


def test_published_initial_vectors_with_the_papers_sizes():
    """Mean squares: o has s^2, W1 and W2 2 / (D_o + D_inter), a filter 1/2 or 1, and the ReLU halves what it gets."""
    layer = 2 / (512 + 8192)
    for kind, square, power in (("binary", 0.5, -0.05), ("real", 1.0, -0.3)):
        torch.manual_seed(6)
        filters = FilterSettings(300, 512, filter=kind)
        embedding = AloneEmbedding(filters, 512, 1, inter_dim=8192, init="published").eval()
        expected = (512 * square * 8704 ** (2 * power) * layer / 2 * 8192 * layer) ** 0.5
        with torch.no_grad():
            assert embedding.matrix().std().item() == pytest.approx(expected, rel=0.1)
        assert expected / 512**-0.5 == pytest.approx({"binary": 3.4, "real": 0.5}[kind], abs=0.05)


def test_free_rows_start_alike_with_both_initial_distributions():
    rows = []
    for init in ("balanced", "published"):
        torch.manual_seed(5)
        rows.append(alone("real", base_dim=19, free_rows=[(30, DIM), (29, 3)], init=init).matrix().std().item())
    assert rows[0] == pytest.approx(rows[1], rel=0.2)


def test_initial_scale_of_the_factorized_embedding():
    assert FactorizedEmbedding(3000, 128, 1, factorized_dim=32).matrix().std().item() == pytest.approx(
        128**-0.5, rel=0.1
    )


@pytest.mark.parametrize(("inter_dim", "millions"), [(512, 0.5), (1024, 1.0), (4096, 4.2), (8192, 8.4)])
def test_trained_size_is_the_papers(inter_dim, millions):
    """Tables 2 and 4: D_e = D_o = 512. It does not depend on the vocabulary."""
    sizes = set()
    for vocabulary in (100, 1000):
        embedding = AloneEmbedding(FilterSettings(vocabulary, 512), 512, 1, inter_dim=inter_dim)
        sizes.add(sum(p.numel() for p in embedding.parameters() if p.requires_grad))
    assert sizes == {512 + inter_dim * (512 + 512)}
    assert round(sizes.pop() / 1e6, 1) == millions


def test_dropout_is_on_input_lookups_only_and_alike_for_equal_words():
    embedding = alone(inter_dim=200, dropout=0.5)
    ids = torch.tensor([4, 8, 4, 4])
    dropped = embedding(ids)
    assert (dropped - embedding.compute(ids)).abs().max() > 0.01
    assert torch.equal(dropped[0], dropped[2])
    assert torch.equal(dropped[0], dropped[3])
    torch.testing.assert_close(embedding.matrix(), embedding.compute(torch.arange(VOCABULARY)))
    average = torch.stack([embedding(ids) for _ in range(2000)]).mean(0)
    torch.testing.assert_close(average, embedding.compute(ids), atol=0.05, rtol=0)
    embedding.eval()
    torch.testing.assert_close(embedding(ids), embedding.matrix()[ids])


def test_dropout_ends_at_its_update():
    embedding = alone(inter_dim=200, dropout=0.5, dropout_until=10)
    ids = torch.tensor([4, 8])
    for update, on in ((0, True), (9, True), (10, False), (11, False)):
        embedding.set_num_updates(update)
        assert ((embedding(ids) - embedding.compute(ids)).abs().max() > 1e-3) == on


def test_fixed_base_is_saved_but_not_trained():
    embedding = alone(fix_base=True)
    embedding.matrix().sum().backward()
    assert embedding.o.grad is None
    assert embedding.w1.grad is not None
    assert "o" in embedding.state_dict()


@pytest.mark.parametrize("name", ["o", "w1", "w2"])
def test_every_parameter_reaches_lookup_and_matrix(name):
    embedding = alone()
    before = embedding(torch.tensor([5])).detach(), embedding.matrix().detach()
    with torch.no_grad():
        getattr(embedding, name).mul_(1.5)
    assert not torch.allclose(embedding(torch.tensor([5])), before[0])
    assert not torch.allclose(embedding.matrix(), before[1])


def test_save_perturb_load_gives_the_same_matrix(embedding):
    saved = {key: value.clone() for key, value in embedding.state_dict().items()}
    expected = embedding.matrix().detach().clone()
    change_parameters(embedding)
    assert not torch.allclose(embedding.matrix(), expected)
    embedding.load_state_dict(saved)
    assert torch.equal(embedding.matrix(), expected)


def test_tied_projection_is_a_product_with_the_matrix(embedding):
    projection = TiedProjection(embedding)
    features = torch.randn(2, 3, DIM)
    torch.testing.assert_close(projection(features), F.linear(features, embedding.matrix()))
    assert list(projection.state_dict()) == []
    assert list(projection.parameters()) == []
    assert projection.bias is None
    torch.testing.assert_close(projection.weight, embedding.matrix())
    change_parameters(embedding)
    torch.testing.assert_close(projection(features), F.linear(features, embedding.matrix()))


def test_a_copied_projection_follows_the_copied_embedding(embedding):
    """fairseq's moving average copies models; the copy must not read the original's embedding."""
    both = torch.nn.ModuleList([embedding, TiedProjection(embedding)])
    copied = copy.deepcopy(both)
    assert copied[1].embedding is copied[0]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"inter_dim": 0}, "inter_dim"),
        ({"num_layers": 4}, "num_layers"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
        ({"dropout_until": -1}, "dropout_until"),
        ({"dropout": 0.1, "num_layers": 1}, "dropout needs 2 or 3 layers"),
        ({"init": "xavier"}, "init must be one of balanced, published, got 'xavier'"),
    ],
)
def test_settings_out_of_range_are_named(settings, name):
    with pytest.raises(SettingError, match=name):
        alone(**settings)


def test_sizes_out_of_range_are_named():
    with pytest.raises(SettingError, match="factorized_dim"):
        FactorizedEmbedding(10, 4, 1, factorized_dim=0)
    with pytest.raises(SettingError, match="embedding_dim"):
        AloneEmbedding(FilterSettings(10, 4), 0, 1, inter_dim=3)
