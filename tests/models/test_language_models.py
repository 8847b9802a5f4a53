"""Tying, state dicts, dropout and refusals of the registered language models, built in this process."""

import argparse
import copy

import fairseq.models
import pytest
import torch
from fairseq import options, utils
from fairseq.data import Dictionary
from fairseq.data.dictionary import TruncatedDictionary
from fairseq.models import ARCH_MODEL_REGISTRY
from fairseq.models.lstm_lm import LSTMLanguageModel
from small_models import KINDS, SIZES, moving_average

import fairseq_alone.models  # noqa: F401 (registers the architectures)
from fairseq_alone.criterions.augmented_loss_target import input_matrix
from fairseq_alone.errors import UserError
from fairseq_alone.modules import RegularizedProjection, VariationalLSTMCell

ARCHS = [f"{network}_lm_{kind}" for network in ("transformer", "lstm") for kind in KINDS]
TYINGS = {
    "fairseq": ["--share-decoder-input-output-embed"],
    "decoder": ["--tie-embeddings=decoder"],
    "all": ["--tie-embeddings=all"],
    "none": ["--tie-embeddings=none"],
    "default": [],
}
TIED = {"fairseq", "decoder", "all"}


def task(words=50, predicted=50):
    """All that build_model asks of a task."""
    dictionary = Dictionary()
    for number in range(words - 4):
        dictionary.add_symbol(f"w{number}")
    target = dictionary if predicted == words else TruncatedDictionary(dictionary, predicted)
    return argparse.Namespace(source_dictionary=dictionary, target_dictionary=target)


def parse(arch, *flags):
    parser = options.get_training_parser("language_modeling")
    return options.parse_args_and_arch(
        parser, ["data", "--task=language_modeling", "--arch", arch, "--tokens-per-sample=9", *map(str, flags)]
    )


def build(arch, *flags, predicted=50):
    size = list(SIZES.get(arch.split("_")[-1], []))
    if arch.startswith("lstm"):
        size += ["--decoder-hidden-size=7", "--decoder-layers=2"]
    else:
        size += ["--decoder-ffn-embed-dim=8", "--decoder-attention-heads=2", "--decoder-layers=1"]
    args = parse(arch, "--decoder-embed-dim=8", "--dropout=0", *size, *flags)
    return ARCH_MODEL_REGISTRY[arch].build_model(args, task(predicted=predicted))


TOKENS = torch.tensor([[2, 5, 6, 7], [2, 8, 9, 5]])


def logits(model):
    with torch.no_grad():
        return model(TOKENS)[0]


@pytest.mark.parametrize("arch", ARCHS)
def test_shapes_defaults_and_what_other_parts_rely_on(arch):
    args = parse(arch)
    assert args.decoder_embed_dim == 512
    assert not args.share_decoder_input_output_embed
    model = build(arch)
    assert model(TOKENS)[0].shape == (2, 4, 50)
    assert model.supported_targets == {"future"}
    # The augmented loss reads the input matrix; fairseq tells every module the number of updates.
    assert input_matrix(model).shape == (50, 8)
    assert not hasattr(model.decoder, "fc_out")
    # Positions limit a Transformer, and an LSTM only when a flag says so.
    assert model.max_positions() == (9 if arch.startswith("transformer") else 1e5)
    assert build(arch, "--max-target-positions=7").max_positions() == 7


def test_the_number_of_updates_reaches_the_embedding():
    for arch in ("transformer_lm_alone", "lstm_lm_alone"):
        model = build(arch, "--alone-dropout-until=5")
        model.set_num_updates(4)
        assert model.decoder.embed_tokens.num_updates == 4


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("tying", TYINGS)
def test_tying_by_mutation(arch, tying):
    """Change the input embedding, and the logits for unchanged features change only when it is tied."""
    model = build(arch, *TYINGS[tying]).eval()
    features = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(1))
    # With gradients, because without them evaluation keeps the matrix.
    vectors, scores = model.decoder.embed_tokens(TOKENS), model.output_layer(features)
    with torch.no_grad():
        for parameter in model.decoder.embed_tokens.parameters():
            parameter.mul_(1.7)
    assert not torch.allclose(model.decoder.embed_tokens(TOKENS), vectors)
    assert torch.allclose(model.output_layer(features), scores) != (tying in TIED)


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("tying", ["decoder", "none"])
@pytest.mark.parametrize("half", [False, True], ids=["float32", "half"])
def test_each_tensor_is_saved_once_and_comes_back(arch, tying, half):
    """Save as fairseq does from a GPU or in half precision, load into another model: the same logits, still tied."""

    def new():
        model = build(arch, *TYINGS[tying]).eval()
        return model.half().float() if half else model

    model = new()
    expected = logits(model)
    saved = utils.move_to_cpu(copy.deepcopy(model.state_dict()))
    parameters = dict(model.named_parameters())
    stored = {value.data_ptr(): value.numel() for name, value in saved.items() if name in parameters}
    assert sum(stored.values()) == sum(parameter.numel() for parameter in parameters.values())
    tables = (f"{name}.weight" for name in ("tokens", "embedding", "projection"))
    ends = (".w1", ".factor", ".codebooks", ".factors.0", ".blocks.0", *tables)
    # A Transformer's table has the names that fairseq gives it.
    count = 1 if tying == "decoder" and arch != "transformer_lm_conventional" else 2
    assert sum(name.endswith(ends) for name in saved) == count
    other = new()
    assert not torch.allclose(logits(other), expected)
    other.load_state_dict(copy.deepcopy(saved))
    assert torch.equal(logits(other), expected)
    output = getattr(other.decoder.output_projection, "embedding", other.decoder.output_projection)
    of_output, of_input = (next(module.parameters()) for module in (output, other.decoder.embed_tokens))
    assert (of_output is of_input) == (tying == "decoder")


@pytest.mark.parametrize("arch", [arch for arch in ARCHS if arch.startswith("transformer")])
def test_moving_average_keeps_the_final_norm(arch):
    """The Transformers are pre-norm without a flag; with decay 0 the average is the model."""
    model = build(arch, "--tie-embeddings=decoder").eval()
    with torch.no_grad():
        model.decoder.layer_norm.weight.mul_(3.0)
    average = moving_average(model, 0.0)
    average.step(model)
    assert torch.equal(logits(average.get_model()), logits(model))


@pytest.mark.parametrize("arch", ["transformer_lm_alone", "lstm_lm_alone"])
def test_checkpoints_of_other_filters_are_refused(arch):
    saved = build(arch, "--alone-seed=1").state_dict()
    with pytest.raises(UserError, match="seed"):
        build(arch, "--alone-seed=2").load_state_dict(saved)


def test_untied_alone_embeddings_have_different_filters():
    decoder = build("lstm_lm_alone").decoder
    ids = torch.arange(4, 50)
    assert not torch.equal(decoder.embed_tokens.filters(ids), decoder.output_embedding.filters(ids))


@pytest.mark.parametrize("arch", ["transformer_lm_conventional", "lstm_lm_conventional"])
def test_regularised_projection(arch):
    model = build(arch, "--output-projection-regularization=0.15", "--criterion=cross_entropy_with_augmented_loss")
    assert isinstance(model.decoder.output_projection, RegularizedProjection)
    assert model.decoder.output_projection.square.shape == (8, 8)


@pytest.mark.parametrize("archs", [("", "_post_norm"), ("_big", "_big"), ("_gpt", "_gpt")])
@pytest.mark.parametrize("tying", ["fairseq", "default"])
def test_conventional_transformer_is_fairseqs(archs, tying):
    """One seed gives the same tensors and logits, to the bit; fairseq's plain transformer_lm is post-norm."""
    models = []
    for name in (f"transformer_lm{archs[0]}", f"transformer_lm_conventional{archs[1]}"):
        torch.manual_seed(3)
        shape = ["--decoder-embed-dim=8", "--decoder-ffn-embed-dim=8", "--decoder-attention-heads=2"]
        # fairseq's plain transformer_lm has word vectors of 512 values in a model of any size, unless told otherwise.
        shape += ["--decoder-input-dim=8", "--decoder-output-dim=8"]
        args = parse(name, *shape, "--decoder-layers=2", *TYINGS[tying])
        models.append(fairseq.models.build_model(args, task()).eval())
    stock, ours = (model.state_dict() for model in models)
    assert list(stock) == list(ours)
    assert all(torch.equal(stock[name], ours[name]) for name in stock)
    assert torch.equal(*map(logits, models))
    models[0].load_state_dict(copy.deepcopy(ours))


def test_lstm_without_scaled_vectors_is_fairseqs():
    """The same parameters in fairseq's own model give the same logits."""
    model = build("lstm_lm_conventional", "--decoder-out-embed-dim=6", "--no-scale-embedding").eval()
    args = parse(
        *("lstm_lm", "--decoder-embed-dim=8", "--decoder-hidden-size=7", "--decoder-layers=2"),
        *("--decoder-out-embed-dim=6", "--dropout=0"),
    )
    stock_task = task()
    stock_task.dictionary = stock_task.source_dictionary
    stock = LSTMLanguageModel.build_model(args, stock_task).eval()
    saved = model.state_dict()
    saved["decoder.fc_out.weight"] = saved.pop("decoder.output_embedding.weight")
    saved["decoder.fc_out.bias"] = torch.zeros(50)
    stock.load_state_dict(saved)
    # Layer by layer, or step by step: alike but for rounding.
    torch.testing.assert_close(logits(stock), logits(model), rtol=1e-5, atol=1e-6)


def test_word_vectors_are_scaled_by_the_root_of_their_size():
    scaled, plain = build("lstm_lm_conventional"), build("lstm_lm_conventional", "--no-scale-embedding")
    plain.load_state_dict(scaled.state_dict())
    with torch.no_grad():
        plain.decoder.embed_tokens.weight.mul_(8**0.5)
    torch.testing.assert_close(logits(plain.eval()), logits(scaled.eval()))


VARIATIONAL = ["--variational-dropout", "--decoder-dropout-in=0.3", "--decoder-dropout-out=0.4"]
RECURRENT = "--variational-recurrent-dropout=0.5"


def test_variational_lstm_equals_the_plain_loop_with_its_masks():
    """Word vectors, what goes between layers, hidden states and features: each with one mask for all steps."""
    torch.manual_seed(5)
    model = build("lstm_lm_conventional", *VARIATIONAL, RECURRENT, "--decoder-out-embed-dim=7").train()
    decoder = model.decoder
    masks = {}

    def keep(name):
        def hook(module, inputs, output):
            masks[name] = output / inputs[0]  # nan or 0 / x: 0 where dropped, a constant where kept

        return hook

    decoder.dropout_in_module[-1].register_forward_hook(keep("in"))
    decoder.output_dropout.register_forward_hook(keep("out"))
    actual = model.extract_features(TOKENS)[0]
    first, second = decoder.layers
    assert first._input_mask is None
    for name, kept in (("in", 1 / 0.7), ("out", 1 / 0.6)):
        assert masks[name].shape[:2] == TOKENS.shape
        torch.testing.assert_close(masks[name], masks[name][:, :1].expand_as(masks[name]))
        assert masks[name].max().item() == pytest.approx(kept)
    vectors = decoder.embed_tokens(TOKENS) * 8**0.5 * masks["in"]
    states = [(torch.zeros(2, 7), torch.zeros(2, 7)) for _ in decoder.layers]
    for step in range(4):
        inputs = vectors[:, step]
        for number, cell in enumerate(decoder.layers):
            hidden, memory = states[number]
            states[number] = torch.nn.LSTMCell.forward(cell, inputs, (hidden * cell._hidden_mask, memory))
            inputs = states[number][0] * second._input_mask
        torch.testing.assert_close(actual[:, step], states[-1][0] * masks["out"][:, step])


def test_variational_masks_change_with_every_batch_and_are_off_in_evaluation():
    torch.manual_seed(5)
    model = build("lstm_lm_conventional", *VARIATIONAL, RECURRENT).train()
    assert all(isinstance(cell, VariationalLSTMCell) for cell in model.decoder.layers)
    assert not torch.equal(logits(model), logits(model))
    # A batch of another size gets masks of its own.
    assert model(TOKENS[:1])[0].shape == (1, 4, 50)
    plain = build("lstm_lm_conventional")
    plain.load_state_dict(model.state_dict())
    assert torch.equal(logits(model.eval()), logits(plain.eval()))
    loss = model.train()(TOKENS)[0].sum()
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("arch", ["lstm_lm_alone", "transformer_lm_alone"])
def test_one_word_at_a_time_gives_the_logits_of_the_whole(arch):
    """Incremental generation, with the flags of variational dropout where there are any."""
    flags = [*VARIATIONAL, RECURRENT] if arch.startswith("lstm") else []
    model = build(arch, *TYINGS["decoder"], *flags).eval()
    state = {}
    with torch.no_grad():
        steps = [model(TOKENS[:, :length], incremental_state=state)[0] for length in range(1, 5)]
    torch.testing.assert_close(torch.cat(steps, dim=1), logits(model))


REFUSALS = [
    ("transformer_lm_alone", ["--adaptive-softmax-cutoff=10"], "--adaptive-softmax-cutoff"),
    ("transformer_lm_alone", ["--adaptive-input", "--adaptive-input-cutoff=10"], "--adaptive-input"),
    ("transformer_lm_alone", ["--character-embeddings"], "--character-embeddings"),
    ("transformer_lm_factorized", ["--quant-noise-pq=0.1"], "--quant-noise-pq"),
    ("transformer_lm_conventional", ["--base-layers=1"], "--base-layers"),
    ("transformer_lm_alone", ["--criterion=adaptive_loss"], "--criterion adaptive_loss"),
    ("transformer_lm_alone", ["--tie-embeddings=all", "--decoder-output-dim=6"], "--decoder-output-dim 6"),
    ("lstm_lm_alone", ["--adaptive-softmax-cutoff=10"], "--adaptive-softmax-cutoff"),
    ("lstm_lm_alone", ["--decoder-embed-path=vectors.txt"], "--decoder-embed-path"),
    ("lstm_lm_conventional", ["--tie-embeddings=decoder", "--decoder-out-embed-dim=6"], "--decoder-out-embed-dim 6"),
    ("lstm_lm_alone", ["--tie-embeddings=none", "--share-decoder-input-output-embed"], "contradicts"),
    ("lstm_lm_alone", ["--alone-inter-dim=0"], "--alone-inter-dim must be"),
    ("lstm_lm_alone", ["--variational-recurrent-dropout=0.1"], "needs --variational-dropout"),
    (
        "lstm_lm_alone",
        ["--variational-dropout", "--variational-recurrent-dropout=1"],
        "--variational-recurrent-dropout",
    ),
    ("lstm_lm_alone", ["--decoder-dropout-in=-1"], "--decoder-dropout-in"),
]


@pytest.mark.parametrize(("arch", "flags", "words"), REFUSALS)
def test_refusals_name_the_flag(arch, flags, words):
    with pytest.raises(UserError) as error:
        build(arch, *flags)
    assert words in str(error.value)


def test_a_shorter_list_of_output_words_needs_an_output_layer_of_its_own():
    with pytest.raises(UserError, match="--output-dictionary-size"):
        build("lstm_lm_alone", "--tie-embeddings=decoder", predicted=20)
    assert logits(build("lstm_lm_alone", predicted=20)).shape == (2, 4, 20)
