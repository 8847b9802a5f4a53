"""Tying, state dicts and refusals of the registered Transformers, built in this process."""

import argparse
import copy

import pytest
import torch
from fairseq import utils
from fairseq.data import Dictionary
from fairseq.models import ARCH_MODEL_REGISTRY
from small_models import KINDS, Task, build, moving_average, parse, small

from fairseq_alone.errors import UserError
from fairseq_alone.models import alone_family
from fairseq_alone.modules import AloneEmbedding, FactorizedEmbedding

ARCHS = [f"transformer_{kind}" for kind in KINDS]
TYINGS = {"all": ["--share-all-embeddings"], "decoder": ["--share-decoder-input-output-embed"], "none": []}
TIE_FLAGS = {tying: ["--tie-embeddings", tying] for tying in TYINGS}
SHAPES = {
    "transformer_{}": (512, 2048, 6, 8),
    "transformer_{}_tiny": (128, 256, 4, 4),
    "transformer_{}_iwslt_de_en": (512, 1024, 6, 4),
    "transformer_{}_wmt_en_de": (512, 2048, 6, 8),
    "transformer_{}_wmt_en_de_big": (1024, 4096, 6, 16),
}


def logits(model):
    sources = torch.tensor([[5, 6, 7, 2], [1, 8, 9, 2]])
    outputs = torch.tensor([[2, 10, 11], [2, 12, 1]])
    with torch.no_grad():
        return model(sources, torch.tensor([4, 3]), outputs)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("arch", SHAPES)
def test_architectures_have_fairseqs_shapes(arch, kind):
    args = parse(arch.format(kind))
    dim, ffn, layers, heads = SHAPES[arch]
    for side in ("encoder", "decoder"):
        assert getattr(args, f"{side}_embed_dim") == dim
        assert getattr(args, f"{side}_ffn_embed_dim") == ffn
        assert getattr(args, f"{side}_layers") == layers
        assert getattr(args, f"{side}_attention_heads") == heads
    assert args.decoder_output_dim == dim


def test_flags_reach_the_embedding():
    model = build(
        "transformer_alone",
        *("--share-all-embeddings", "--alone-filter=real", "--alone-base-dim=6", "--alone-num-layers=3"),
        *("--alone-num-codebooks=3", "--alone-codebook-size=9", "--alone-filter-std=2", "--alone-seed=77"),
        *("--alone-dropout=0.25", "--alone-dropout-until=9", "--alone-zero-probability=0.25", "--alone-fix-base"),
        "--alone-init=published",
    )
    embedding = model.encoder.embed_tokens
    settings = embedding.filters.settings
    assert (settings.filter, settings.base_dim, settings.num_codebooks, settings.codebook_size) == ("real", 6, 3, 9)
    assert (settings.filter_std, settings.seed, settings.zero_probability) == (2.0, 77, 0.25)
    assert (embedding.num_layers, embedding.inter_dim, embedding.dropout) == (3, 12, 0.25)
    assert not embedding.o.requires_grad
    assert embedding.init == "published"
    model.set_num_updates(8)
    assert embedding.num_updates == 8
    assert (embedding.num_embeddings, embedding.padding_idx) == (50, 1)


def test_a_share_sizes_each_embedding_by_its_own_dictionary():
    flags = "--alone-share", "0.75"
    model = build("transformer_alone", *flags, task=Task(1200, 800)).eval()
    for embedding, vocabulary in zip(embeddings(model), (1200, 800, 800), strict=True):
        assert embedding.filters.settings.filter == "real"
        assert (embedding.filters.settings.base_dim, embedding.num_embeddings) == (32, vocabulary)
        assert [band.rows.shape for band in embedding.free.bands][0] == (vocabulary * 3 // 16, 8)
        assert embedding.free.num_rows == vocabulary * 19 // 20
        assert sum(p.numel() for p in embedding.parameters()) == pytest.approx(vocabulary * 6, rel=0.03)
    # What a checkpoint keeps builds the same model.
    other = build("transformer_alone", *flags, task=Task(1200, 800)).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(logits(other), logits(model))


def test_a_checkpoint_without_the_start_has_the_balanced_one():
    args = small("transformer_alone")
    assert args.alone_init == "balanced"
    del args.alone_init
    torch.manual_seed(2)
    model = ARCH_MODEL_REGISTRY["transformer_alone"].build_model(args, Task())
    torch.manual_seed(2)
    expected = build("transformer_alone", "--alone-init=balanced")
    assert torch.equal(model.encoder.embed_tokens.o, expected.encoder.embed_tokens.o)
    assert model.encoder.embed_tokens.init == "balanced"


def task_with_counts(counts):
    words = Dictionary()
    for number, count in enumerate(counts):
        words.add_symbol(f"w{number}", count)
    return argparse.Namespace(source_dictionary=words, target_dictionary=words)


@pytest.mark.parametrize(
    ("counts", "warning"),
    [
        # 13 rows and padding: fairseq's four symbols and ten words.
        ([100, 90, *[50] * 8, 10, 5, 5], None),
        ([50, 100, 90, *[50] * 7, 10, 5, 5], None),
        ([7] * 20, None),
        ([0] * 20, None),
        ([10, 5, *[50] * 8, 90, 100], "its first 10 words are 68.6% of the tokens that it counts"),
    ],
    ids=["sorted", "frequent words in another order", "equal counts", "no counts", "not sorted"],
)
def test_a_dictionary_that_is_not_sorted_by_frequency_is_told(counts, warning, caplog):
    build("transformer_alone", "--share-all-embeddings", "--alone-free-rows", "13", task=task_with_counts(counts))
    messages = [record.getMessage() for record in caplog.records if "sorted by frequency" in record.getMessage()]
    assert len(messages) == (warning is not None)
    if warning:
        assert warning + ", its most frequent 10 words 97.5%" in messages[0]


def test_each_band_of_rows_needs_its_frequent_words(caplog):
    counts = [100] * 8 + [1] * 10 + [50] * 10
    build("transformer_alone", "--share-all-embeddings", "--alone-free-rows", "11", task=task_with_counts(counts))
    assert "sorted by frequency" not in caplog.text
    build("transformer_alone", "--share-all-embeddings", "--alone-free-rows", "11,10x3", task=task_with_counts(counts))
    assert "its first 18 words are 61.8% of the tokens that it counts" in caplog.text


@pytest.mark.parametrize(
    ("flags", "unused"),
    [
        (
            ["--alone-filter=binary", "--alone-filter-std=2"],
            "--alone-filter-std has no effect with --alone-filter binary",
        ),
        (["--alone-filter=real", "--alone-zero-probability=0.3"], "--alone-zero-probability has no effect with"),
        (["--alone-filter=naive", "--alone-codebook-size=9"], "--alone-codebook-size has no effect with"),
        (["--alone-filter=binary", "--alone-filter-std=1", "--alone-codebook-size=9"], None),
        (["--alone-filter=real", "--alone-filter-std=2"], None),
    ],
)
def test_a_flag_that_the_filter_does_not_use_is_told(flags, unused, caplog):
    alone_family._warn_once.cache_clear()
    build("transformer_alone", "--tie-embeddings=none", *flags)
    messages = [record.getMessage() for record in caplog.records if "no effect" in record.getMessage()]
    assert len(messages) == (unused is not None)
    assert all(message.startswith(unused) for message in messages)


def test_the_papers_settings_are_the_defaults():
    embedding = build("transformer_alone", "--share-all-embeddings").encoder.embed_tokens
    assert (embedding.filters.settings.filter, embedding.filters.settings.base_dim) == ("binary", 8)
    assert (embedding.free.num_rows, embedding.num_layers) == (0, 2)


def embeddings(model):
    """The embeddings of encoder input, decoder input and output."""
    output = model.decoder.output_projection
    return model.encoder.embed_tokens, model.decoder.embed_tokens, getattr(output, "embedding", output)


def vectors(embedding):
    """All vectors of an embedding, or of fairseq's own output layer over a table."""
    return embedding.weight.detach().clone()


def ties(model):
    """Whether encoder input and decoder input are one, and decoder input and output."""
    first, second, third = embeddings(model)
    if hasattr(first, "matrix") and not hasattr(third, "matrix"):  # fairseq's own output layer
        return first.weight is second.weight, second.weight is third.weight
    return first is second, second is third


def stored_values(state_dict):
    """How many trained values a file of this state dict holds: those of each storage once."""
    trained = {
        tensor.data_ptr(): tensor.numel()
        for name, tensor in state_dict.items()
        if tensor.is_floating_point() and not name.endswith(("version", "_float_tensor"))
    }
    return sum(trained.values())


def embedding_tensors(state_dict):
    """The embeddings of a state dict, each by one of its tensors; a table with all its names."""
    tables = ("embed_tokens.weight", "projection.weight")
    return [
        name
        for name in state_dict
        if name.endswith((".w1", ".factor", ".codebooks", ".factors.0", ".blocks.0", *tables))
    ]


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("flags", [TYINGS, TIE_FLAGS], ids=["fairseq", "tie"])
@pytest.mark.parametrize("tying", TYINGS)
def test_tying_by_mutation(arch, flags, tying):
    """Change the decoder's input embedding and see who notices."""
    model = build(arch, *flags[tying]).eval()
    encoder_input, decoder_input, output = embeddings(model)
    before = [vectors(embedding) for embedding in (encoder_input, decoder_input, output)]
    with torch.no_grad():
        next(p for p in decoder_input.parameters()).mul_(1.7)
    changed = [
        not torch.allclose(vectors(embedding), old)
        for embedding, old in zip((encoder_input, decoder_input, output), before, strict=True)
    ]
    assert changed == {"all": [True] * 3, "decoder": [False, True, True], "none": [False, True, False]}[tying]


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("tying", TYINGS)
def test_each_tensor_is_saved_once_and_comes_back(arch, tying):
    """Save, perturb, load: the same logits, in a new process's model too, from CPU and as fairseq saves from a GPU."""
    model = build(arch, *TYINGS[tying]).eval()
    expected = logits(model)
    trained = sum(parameter.numel() for parameter in model.parameters())
    for precision in (model, copy.deepcopy(model).half()):  # half types are converted, as a GPU's tensors are moved
        assert stored_values(utils.move_to_cpu(precision.state_dict())) == trained
    saved = {key: value.clone() for key, value in model.state_dict().items()}
    count = 3 if arch == "transformer_conventional" else {"all": 1, "decoder": 2, "none": 3}[tying]
    assert len(embedding_tensors(saved)) == count
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3)
    assert not torch.allclose(logits(model), expected)
    model.load_state_dict(copy.deepcopy(saved))
    assert torch.equal(logits(model), expected)
    other = build(arch, *TYINGS[tying]).eval()
    assert not torch.allclose(logits(other), expected)
    other.load_state_dict(utils.move_to_cpu(copy.deepcopy(saved)))
    assert torch.equal(logits(other), expected)
    assert ties(other) == {"all": (True, True), "decoder": (False, True), "none": (False, False)}[tying]


def test_state_dict_of_a_wrapped_model_has_its_prefix():
    model = build("transformer_alone", "--share-all-embeddings")
    keys = list(torch.nn.ModuleDict({"module": model}).state_dict())
    assert "module.encoder.embed_tokens.w1" in keys
    assert not any("decoder.embed_tokens" in key for key in keys)


@pytest.mark.parametrize("arch", ["transformer_conventional", "transformer_factorized"])
@pytest.mark.parametrize("saved", ["decoder", "none"])
def test_a_model_that_is_tied_otherwise_is_not_loaded(arch, saved):
    """All names are there, but one value would take the place of another."""
    other = build(arch, *TIE_FLAGS[saved])
    with pytest.raises(UserError, match="embed_tokens.* are one tensor in this model, but differ in the checkpoint"):
        build(arch, *TIE_FLAGS["all"]).load_state_dict(other.state_dict())


@pytest.mark.parametrize("arch", ["transformer_alone", "transformer_conventional"])
def test_copies_of_a_tied_tensor_are_loaded_even_if_not_finite(arch):
    model = build(arch, *TIE_FLAGS["all"])
    saved = torch.nn.Module.state_dict(model)  # a copy for each name, as fairseq's own models write them
    for name in saved:
        if name in embedding_tensors(saved):
            saved[name] = torch.full_like(saved[name], float("nan"))
    model.load_state_dict(saved)
    assert embeddings(model)[0].weight.isnan().any()


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("tying", TYINGS)
def test_half_precision_keeps_the_ties(arch, tying):
    """In fp16, saved and loaded: what was one is one, and a change of it is seen in the same places."""
    model = build(arch, *TIE_FLAGS[tying]).half().eval()
    saved = utils.move_to_cpu({key: value.clone() for key, value in model.state_dict().items()})
    count = 3 if arch == "transformer_conventional" else {"all": 1, "decoder": 2, "none": 3}[tying]
    assert len(embedding_tensors(saved)) == count
    assert all(value.dtype == torch.int64 for key, value in saved.items() if key.endswith("filter_version"))
    other = build(arch, *TIE_FLAGS[tying]).half().eval()
    other.load_state_dict(saved)
    for mine, theirs in zip(embeddings(other), embeddings(model), strict=True):
        assert vectors(mine).dtype == torch.float16
        assert torch.equal(vectors(mine), vectors(theirs))
    before = [vectors(embedding) for embedding in embeddings(other)]
    with torch.no_grad():
        next(embeddings(other)[1].parameters()).mul_(2)
    other.train().eval()  # drops what was kept
    changed = [
        not torch.equal(vectors(embedding), old) for embedding, old in zip(embeddings(other), before, strict=True)
    ]
    assert changed == {"all": [True] * 3, "decoder": [False, True, True], "none": [False, True, False]}[tying]


@pytest.mark.parametrize("tying", TYINGS)
def test_conventional_is_fairseqs_transformer(tying):
    """One seed gives the same tensors under the same names, the same logits and gradients, to the bit."""
    models = []
    for arch in ("transformer", "transformer_conventional"):
        torch.manual_seed(3)
        models.append(build(arch, *TYINGS[tying]))
    stock, ours = models
    assert list(stock.state_dict()) == list(ours.state_dict())
    assert [name for name, _ in stock.named_parameters()] == [name for name, _ in ours.named_parameters()]
    sources, outputs = torch.tensor([[5, 6, 7, 2], [1, 8, 9, 2]]), torch.tensor([[2, 10, 11], [2, 12, 1]])
    results = [model(sources, torch.tensor([4, 3]), outputs)[0] for model in models]
    assert torch.equal(*results)
    for result in results:
        result.logsumexp(-1).square().sum().backward()
    for mine, theirs in zip(ours.parameters(), stock.parameters(), strict=True):
        assert torch.equal(mine.grad, theirs.grad)


@pytest.mark.parametrize(
    "archs", [("transformer", "transformer_conventional"), ("transformer_conventional", "transformer")]
)
@pytest.mark.parametrize("tying", TYINGS)
def test_conventional_and_stock_load_each_other(archs, tying):
    saved, loaded = (build(arch, *TYINGS[tying]).eval() for arch in archs)
    loaded.load_state_dict(copy.deepcopy(saved.state_dict()))
    assert torch.equal(logits(loaded), logits(saved))


@pytest.mark.parametrize("tying", TYINGS)
def test_tables_of_version_0_1_0_are_loaded(tying):
    """They had names of their own, and a tied table had one name only."""
    model = build("transformer_conventional", *TIE_FLAGS[tying]).eval()
    old, seen = {}, set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen:
            name = name.replace("decoder.output_projection.weight", "decoder.output_embedding.table")
            old[name.replace("embed_tokens.weight", "embed_tokens.table")] = tensor.clone()
        seen.add(tensor.data_ptr())
    assert sum(name.endswith(".table") for name in old) == {"all": 1, "decoder": 2, "none": 3}[tying]
    other = build("transformer_conventional", *TIE_FLAGS[tying]).eval()
    other.load_state_dict(old)
    assert torch.equal(logits(other), logits(model))


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("tying", TYINGS)
def test_a_wrapped_model_loads_its_own_state(arch, tying):
    """In a list, and within another module within a list: fairseq's own upgrade of state dicts does not run there."""
    for wrap in (lambda model: torch.nn.ModuleList([model]), lambda model: torch.nn.ModuleDict({"a": model})):
        first, second = (wrap(torch.nn.Sequential(build(arch, *TYINGS[tying]).eval())) for _ in range(2))
        inner = [next(iter(wrapper.children()))[0] for wrapper in (first, second)]
        assert not torch.equal(*map(logits, inner))
        second.load_state_dict(copy.deepcopy(first.state_dict()), strict=True)
        assert torch.equal(*map(logits, inner))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ["--tie-embeddings=none", "--share-all-embeddings"],
            "--share-all-embeddings contradicts --tie-embeddings none",
        ),
        (["--tie-embeddings=none", "--share-decoder-input-output-embed"], "--share-decoder-input-output-embed contra"),
        (["--tie-embeddings=none", "--merge-src-tgt-embed"], "--merge-src-tgt-embed contradicts"),
        (["--tie-embeddings=decoder", "--share-all-embeddings"], "--share-all-embeddings contradicts"),
        (["--tie-embeddings=decoder", "--merge-src-tgt-embed"], "--merge-src-tgt-embed contradicts"),
        (["--tie-embeddings=all", "--decoder-embed-dim=4"], "--share-all-embeddings needs one size"),
        (["--tie-embeddings=decoder", "--decoder-output-dim=4"], "--decoder-output-dim 4 differs"),
        (["--output-projection-regularization=-1"], "--output-projection-regularization must be at least 0"),
        (["--output-projection-regularization=nan"], "--output-projection-regularization must be at least 0"),
        (
            ["--output-projection-regularization=0.15", "--tie-embeddings=decoder"],
            "--output-projection-regularization is for untied",
        ),
        (
            ["--output-projection-regularization=0.15", "--share-all-embeddings"],
            "--output-projection-regularization is for untied",
        ),
        (
            ["--output-projection-regularization=0.15", "--criterion=label_smoothed_cross_entropy"],
            "--output-projection-regularization needs --criterion .*, not label_smoothed_cross_entropy",
        ),
    ],
)
@pytest.mark.parametrize("arch", ARCHS)
def test_contradicting_ties_are_refused(arch, flags, words):
    with pytest.raises(UserError, match=words):
        build(arch, *flags)


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("tying", TYINGS)
def test_the_flags_of_a_built_model_build_it_again(arch, tying):
    """A checkpoint keeps the flags as building left them; loading must not find a contradiction in them."""
    args = small(arch, *TIE_FLAGS[tying])
    ARCH_MODEL_REGISTRY[arch].build_model(args, Task())
    model = ARCH_MODEL_REGISTRY[arch].build_model(args, Task())
    assert ties(model) == (tying == "all", tying != "none")


@pytest.mark.parametrize("arch", ARCHS)
def test_regularized_projection_stands_before_the_output(arch):
    flags = ["--output-projection-regularization=0.15", "--criterion=label_smoothed_cross_entropy_with_augmented_loss"]
    torch.manual_seed(4)
    plain = build(arch).eval()
    torch.manual_seed(4)
    model = build(arch, *flags).eval()
    if arch == "transformer_conventional":  # without P, fairseq makes the output layer
        state = {**plain.state_dict(), "decoder.output_projection.square": torch.eye(8)}
        state["decoder.output_embedding.weight"] = state.pop("decoder.output_projection.weight")
        model.load_state_dict(state)
    torch.testing.assert_close(logits(model), logits(plain))  # P is the identity at first
    square = model.decoder.output_projection.square
    with torch.no_grad():
        square.mul_(2)
    torch.testing.assert_close(logits(model), 2 * logits(plain))
    saved = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        square.zero_()
    model.load_state_dict(saved)
    torch.testing.assert_close(logits(model), 2 * logits(plain))


def test_untied_embeddings_have_filters_of_their_own():
    model = build("transformer_alone")
    filters = [embedding.filters(torch.arange(2, 50)) for embedding in embeddings(model)]
    assert not torch.equal(filters[0], filters[1])
    assert not torch.equal(filters[0], filters[2])
    assert not torch.equal(filters[1], filters[2])


def test_different_vocabularies_without_sharing():
    model = build("transformer_alone", task=Task(50, 60))
    assert [embedding.num_embeddings for embedding in embeddings(model)] == [50, 60, 60]
    assert logits(model).shape == (2, 3, 60)


def test_merged_dictionaries_share_one_embedding():
    model = build("transformer_alone", "--merge-src-tgt-embed", task=Task(50, 60))
    first, second, third = embeddings(model)
    assert first is second is third


def test_tied_output_gets_gradient_from_input_and_output():
    model = build("transformer_alone", "--share-all-embeddings")
    sources, outputs = torch.tensor([[5, 6, 2]]), torch.tensor([[2, 10]])
    model(sources, torch.tensor([3]), outputs)[0].logsumexp(-1).sum().backward()
    for name in ("o", "w1", "w2"):
        assert getattr(model.encoder.embed_tokens, name).grad.abs().sum() > 0
    parameters = dict(model.named_parameters())
    assert all(parameter.grad is not None for parameter in parameters.values())


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("fp32", [False, True], ids=["own", "fp32"])
def test_moving_average_of_models_decays_each_tensor_once(arch, fp32):
    """fairseq's EMA walks the state dict: a tensor under three names would be decayed three times."""
    model = build(arch, "--share-all-embeddings")
    if fp32:
        model.half()
    ema = moving_average(model, 0.5, fp32)
    old = [parameter.detach().float().clone() for parameter in model.parameters()]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    ema.step(model)
    for averaged, before in zip(ema.get_model().parameters(), old, strict=True):
        torch.testing.assert_close(averaged.float(), before + 0.5, atol=2e-3 if fp32 else 1e-6, rtol=0)
    # What a checkpoint keeps of it agrees under every name.
    for name, tensor in ema.fp32_params.items():
        torch.testing.assert_close(tensor, ema.get_model().state_dict()[name].to(tensor.dtype), atol=2e-3, rtol=0)
    if arch == "transformer_alone":
        averaged, original = ema.get_model().encoder.embed_tokens.filters, model.encoder.embed_tokens.filters
        assert torch.equal(averaged.filter_version, original.filter_version)


@pytest.mark.parametrize("arch", [*ARCHS, "transformer"])
def test_moving_average_of_a_pre_norm_model_keeps_the_final_norms(arch):
    """With decay 0 the average is the model; fairseq's loses the norm after the last decoder layer."""
    model = build(arch, "--share-all-embeddings", "--encoder-normalize-before", "--decoder-normalize-before").eval()
    with torch.no_grad():
        model.decoder.layer_norm.weight.mul_(3.0)
    ema = moving_average(model, 0.0)
    ema.step(model)
    # Not bit for bit: on some processors a sum depends on where in memory the tensor is.
    torch.testing.assert_close(logits(ema.get_model()), logits(model))
    other = build(arch, "--share-all-embeddings", "--encoder-normalize-before", "--decoder-normalize-before").eval()
    other.load_state_dict(ema.get_model().state_dict())
    torch.testing.assert_close(logits(other), logits(model))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--adaptive-softmax-cutoff", "10,20"], "--adaptive-softmax-cutoff does not work"),
        (["--encoder-embed-path", "vectors"], "--encoder-embed-path does not work"),
        (["--decoder-embed-path", "vectors"], "--decoder-embed-path does not work"),
        (["--quant-noise-pq", "0.1"], "--quant-noise-pq does not work"),
        (["--quant-noise-scalar", "0.1"], "--quant-noise-scalar does not work"),
        (["--share-all-embeddings", "--decoder-embed-dim", "4"], "--encoder-embed-dim is 8, --decoder-embed-dim 4"),
        (["--base-layers", "1"], "--base-layers does not work"),
        (["--share-decoder-input-output-embed", "--decoder-output-dim", "4"], "--decoder-output-dim 4 differs"),
    ],
)
@pytest.mark.parametrize("arch", ARCHS)
def test_flags_that_need_a_table_are_refused(arch, flags, words):
    with pytest.raises(UserError, match=words):
        build(arch, *flags)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--alone-codebook-size", "2", "--alone-num-codebooks", "5"], "--alone-codebook-size is too small"),
        (["--alone-zero-probability", "1"], "--alone-zero-probability must lie between 0 and 1"),
        (["--alone-zero-probability", "-0.5"], "--alone-zero-probability must lie"),
        (["--alone-base-dim", "0"], "--alone-base-dim must be at least 1"),
        (["--alone-inter-dim", "-4"], "--alone-inter-dim must be at least 1"),
        (["--alone-num-codebooks", "0"], "--alone-num-codebooks must be at least 1"),
        (["--alone-codebook-size", "0"], "--alone-codebook-size must be at least 1"),
        (["--alone-num-layers", "0"], "--alone-num-layers must be 1, 2 or 3"),
        (["--alone-dropout", "1"], "--alone-dropout must be"),
        (["--alone-dropout-until", "-1"], "--alone-dropout-until must be"),
        (["--alone-filter-std", "0"], "--alone-filter-std must be"),
        (["--alone-filter", "ternary"], "--alone-filter must be one of binary, real, naive"),
        (["--alone-seed", "-1"], "--alone-seed must be"),
        (["--alone-init", "xavier"], "--alone-init must be one of balanced, published, got 'xavier'"),
        (["--alone-free-rows", "60"], "--alone-free-rows must be at most 49 in all"),
        (["--alone-free-rows", "4,0x2"], "--alone-free-rows must be at least 1 in each band, got 0"),
        (["--alone-free-rows", "4x9"], "--alone-free-rows must have a width from 1 to 8, got 9"),
        (["--alone-free-rows", "4,x2"], "--alone-free-rows must be like 2000 or 2000,4500x64, got '4,x2'"),
        (["--alone-free-rows", "-4"], "--alone-free-rows must be like"),
        (["--alone-free-rows", "many"], "--alone-free-rows must be like"),
        (["--alone-share", "0"], "--alone-share must be greater than 0"),
        (["--alone-share", "0.1"], "--alone-share is too small for 50 words"),
        (["--alone-share", "0.75", "--alone-inter-dim", "4"], "--alone-inter-dim follows from --alone-share"),
        (
            ["--alone-share", "0.75", "--alone-num-layers", "1"],
            "--alone-num-layers must be 2 with --alone-share, got 1",
        ),
        (["--alone-share", "0.75", "--alone-base-dim", "4"], "--alone-base-dim follows from --alone-share"),
        (["--alone-share", "0.75", "--alone-free-rows", "4"], "--alone-free-rows follows from --alone-share"),
        (["--alone-share", "0.75", "--alone-init", "published"], "--alone-init must be balanced with --alone-share"),
    ],
)
def test_settings_out_of_range_name_their_flag(flags, words):
    with pytest.raises(UserError, match=words):
        build("transformer_alone", *flags)


def test_factorized_dim_names_its_flag():
    with pytest.raises(UserError, match="--factorized-dim must be at least 1"):
        build("transformer_factorized", "--factorized-dim=0")


def test_shared_embeddings_need_a_joined_dictionary():
    with pytest.raises(UserError, match="--joined-dictionary"):
        build("transformer_alone", "--share-all-embeddings", task=Task(50, 60))


@pytest.mark.parametrize(
    ("flags", "vocabulary", "words"),
    [
        (["--alone-seed=2"], 50, "seed is 1 in the checkpoint and 2 in the model"),
        ([], 51, "the vocabulary size is 50 in the checkpoint and 51"),
        (["--alone-filter=real"], 50, "filter is binary in the checkpoint and real"),
        (["--alone-zero-probability=0.4"], 50, "zero_probability is 0.5 in the checkpoint and 0.4"),
        (["--alone-num-codebooks=9"], 50, "num_codebooks is 8 in the checkpoint and 9"),
    ],
)
def test_a_checkpoint_of_other_filters_is_refused(flags, vocabulary, words):
    saved = build("transformer_alone", "--share-all-embeddings").state_dict()
    other = build("transformer_alone", "--share-all-embeddings", *flags, task=Task(vocabulary, vocabulary))
    with pytest.raises(UserError, match=words):
        other.load_state_dict(saved)


def test_embedding_classes():
    assert isinstance(build("transformer_alone").encoder.embed_tokens, AloneEmbedding)
    assert isinstance(build("transformer_factorized").encoder.embed_tokens, FactorizedEmbedding)
