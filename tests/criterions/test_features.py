"""Features and the output layer's vectors of single words: together they are the logits."""

import pytest
import torch
from fairseq.models.transformer import TransformerModel
from support.small_models import KINDS, SIZES, Task, build, parse

from fairseq_alone.criterions.features import OutputRows, features_of, need_few_rows
from fairseq_alone.errors import UserError
from fairseq_alone.models.networks import MODELS
from fairseq_alone.modules.computed_embedding import ComputedEmbedding

WORDS = torch.arange(5, 45).view(4, 10)
INPUT = {"src_tokens": WORDS, "src_lengths": torch.full((4,), 10), "prev_output_tokens": WORDS.flip(0)}
LM_INPUT = {"src_tokens": WORDS, "src_lengths": torch.full((4,), 10)}
REGULARIZED = ["--output-projection-regularization=0.1", "--criterion=cross_entropy_with_augmented_loss"]
LM_SIZES = ("--decoder-embed-dim=8", "--decoder-hidden-size=8", "--decoder-layers=1", "--decoder-out-embed-dim=8")


def lstm(kind, *flags):
    args = parse(f"lstm_lm_{kind}", *LM_SIZES, "--dropout=0", *SIZES.get(kind, ()), *flags)
    return next(
        model for model in MODELS.values() if model.__name__.startswith("LSTM") and model.family.name == kind
    ).build_model(args, Task())


def assert_logits(model, net_input):
    model.eval()
    features, net_output = features_of(model, net_input)
    rows = OutputRows(model, "x")
    assert rows.num_embeddings == 50
    logits = model(**net_input)[0]
    assert net_output[0] is features
    torch.testing.assert_close(features @ rows.rows(torch.arange(50)).t(), logits, rtol=1e-4, atol=1e-5)
    ids = torch.tensor([[7, 3], [7, 49]])
    torch.testing.assert_close(rows.rows(ids), rows.rows(torch.arange(50))[ids])


@pytest.mark.parametrize("tying", ["all", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_translation(kind, tying):
    assert_logits(build(f"transformer_{kind}", "--tie-embeddings", tying), INPUT)


@pytest.mark.parametrize("flags", [["--tie-embeddings=decoder"], REGULARIZED])
@pytest.mark.parametrize("kind", KINDS)
def test_language_models(kind, flags):
    model = lstm(kind, *flags)
    if hasattr(model.decoder.output_projection, "square"):
        torch.nn.init.normal_(model.decoder.output_projection.square)
    assert_logits(model, LM_INPUT)


def test_fairseqs_own_model():
    args = parse("transformer", "--encoder-embed-dim=8", "--decoder-embed-dim=8", "--dropout=0")
    args.encoder_layers = args.decoder_layers = 1
    assert_logits(TransformerModel.build_model(args, Task()), INPUT)


def test_the_output_layer_is_back_after_an_error():
    model = build("transformer_factorized")
    with pytest.raises(TypeError):
        features_of(model, {"src_tokens": WORDS})
    assert model(**INPUT)[0].size(-1) == 50


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "conventional"])
def test_only_the_words_asked_for_are_computed(kind, monkeypatch):
    model = lstm(kind, "--tie-embeddings=decoder").train()
    need_few_rows(model)
    monkeypatch.setattr(ComputedEmbedding, "matrix", None)
    embedding = model.decoder.embed_tokens
    with embedding.once_per_update():
        features, _ = features_of(model, LM_INPUT)
        vectors = OutputRows(model, "x").rows(WORDS[0])
        (features[:, 0] @ vectors.t()).sum().backward()
    assert any(parameter.grad.abs().sum() > 0 for parameter in embedding.parameters() if parameter.requires_grad)


def test_rows_have_no_dropout():
    model = lstm("alone", "--tie-embeddings=decoder", "--alone-dropout=0.9").train()
    rows = OutputRows(model, "x").rows(WORDS[0])
    torch.testing.assert_close(rows, model.decoder.embed_tokens.matrix()[WORDS[0]])


def test_another_output_layer_is_refused():
    model = build("transformer_conventional", "--tie-embeddings=none")
    model.decoder.output_projection = torch.nn.Linear(8, 50)
    with pytest.raises(UserError, match="--criterion sampled_softmax needs an output layer that has one vector"):
        OutputRows(model, "sampled_softmax")
