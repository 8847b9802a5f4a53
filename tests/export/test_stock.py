"""A converted model of stock fairseq gives the logits of the model."""

import pytest
import torch
from toy_trained import toy_trained

from fairseq_alone.errors import UserError
from fairseq_alone.export.stock import build_stock, stock_model

REGULARIZED = (
    "--tie-embeddings=none",
    "--output-projection-regularization=0.1",
    "--criterion=cross_entropy_with_augmented_loss",
)
PRE_NORM = ("--encoder-normalize-before", "--decoder-normalize-before")
FAMILIES = ("alone", "conventional", "factorized", "codes")
SOURCE, LENGTHS = torch.tensor([[4, 5, 6, 2], [8, 9, 2, 1]]), torch.tensor([4, 3])
TARGET = torch.tensor([[2, 5, 6, 7, 9], [2, 8, 9, 5, 3]])


def logits(trained, model):
    with torch.no_grad():
        return model(TARGET)[0] if trained.kind == "language_model" else model(SOURCE, LENGTHS, TARGET)[0]


def converted(arch, *flags, **settings):
    trained = toy_trained(arch, *flags, **settings)
    model, stock = build_stock(trained)
    assert type(model).__module__.startswith("fairseq.models.")
    before, after = logits(trained, trained.model), logits(trained, model)
    # One product is computed before the other; fairseq's LSTM goes step by step, ours layer by layer.
    if "--output-projection-regularization=0.1" in flags or arch.startswith("lstm_lm"):
        torch.testing.assert_close(after, before)
    else:
        assert torch.equal(after, before)
    return stock


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("network", ["transformer", "transformer_lm", "lstm_lm"])
def test_every_family_in_every_network(family, network):
    converted(f"{network}_{family}", "--tie-embeddings=" + ("all" if family in ("alone", "codes") else "none"))


@pytest.mark.parametrize(
    ("arch", "flags", "settings"),
    [
        ("transformer_alone", ["--tie-embeddings=decoder", *PRE_NORM], {"target_vocabulary": 30}),
        ("transformer_alone", ["--alone-free-rows=3,4x2", "--share-all-embeddings"], {}),
        ("transformer_alone", ["--alone-filter=real", *PRE_NORM], {}),
        ("transformer_alone", [*REGULARIZED], {"target_vocabulary": 30}),
        ("transformer_conventional", [*REGULARIZED], {}),
        ("transformer_alone", ["--decoder-output-dim=6", "--decoder-embed-dim=10"], {"target_vocabulary": 30}),
        (
            "transformer_alone",
            ["--encoder-learned-pos", "--decoder-learned-pos", "--layernorm-embedding", "--no-scale-embedding"],
            {},
        ),
        ("transformer_alone", ["--merge-src-tgt-embed"], {}),
        ("transformer_alone", ["--decoder-normalize-before", "--no-decoder-final-norm"], {}),
        ("transformer_alone", ["--encoder-layerdrop=0.2", "--no-token-positional-embeddings"], {}),
        ("transformer_alone_duc", ["--length-encoding=none"], {"task": "headline_generation"}),
        ("transformer_lm_alone", ["--decoder-input-dim=5", "--decoder-output-dim=6"], {}),
        ("transformer_lm_alone", ["--tie-embeddings=all", "--decoder-input-dim=5", "--decoder-output-dim=5"], {}),
        ("transformer_lm_alone", [*REGULARIZED], {}),
        ("transformer_lm_alone_post_norm", ["--tie-embeddings=all"], {}),
        ("transformer_lm_alone", ["--no-decoder-final-norm", "--decoder-learned-pos"], {}),
        ("transformer_lm_alone", ["--layernorm-embedding", "--no-scale-embedding"], {}),
        ("lstm_lm_alone", ["--tie-embeddings=decoder", "--no-scale-embedding", "--residuals"], {}),
        ("lstm_lm_conventional", ["--tie-embeddings=all", "--no-scale-embedding"], {}),
        ("lstm_lm_alone", ["--variational-dropout", "--variational-recurrent-dropout=0.2"], {}),
        ("lstm_lm_alone", [*REGULARIZED], {}),
        ("lstm_lm_alone", ["--decoder-out-embed-dim=6", "--max-target-positions=7"], {}),
        # Stock models stay as they are, also those with other output layers.
        ("transformer_iwslt_de_en", ["--share-all-embeddings"], {}),
        ("transformer_lm_gpt", [], {}),
        ("transformer_lm", ["--decoder-input-dim=8", "--decoder-output-dim=8"], {}),
        ("lstm_lm", ["--criterion=adaptive_loss", "--adaptive-softmax-cutoff=5,10"], {}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_settings(arch, flags, settings):
    converted(arch, *flags, **settings)


def names_of_one(stock, shape):
    """The names of tensors of this shape, those of one tensor together."""
    groups: dict[int, list[str]] = {}
    for name, tensor in stock.state_dict.items():
        if tuple(tensor.shape) == shape:
            groups.setdefault(tensor.data_ptr(), []).append(name)
    return sorted(map(sorted, groups.values()))


def test_tied_tables_are_one_tensor():
    tables = ["decoder.embed_tokens.weight", "decoder.output_projection.weight", "encoder.embed_tokens.weight"]
    assert names_of_one(converted("transformer_alone", "--tie-embeddings=all"), (20, 8)) == [tables]
    assert names_of_one(converted("transformer_alone", "--tie-embeddings=decoder"), (20, 8)) == [tables[:2], tables[2:]]
    assert names_of_one(converted("transformer_alone"), (20, 8)) == [[name] for name in tables]


def test_a_tied_lstm_without_a_scale_keeps_one_table_and_one_with_it_has_two():
    assert names_of_one(converted("lstm_lm_alone", "--tie-embeddings=all", "--no-scale-embedding"), (20, 8)) == [
        ["decoder.embed_tokens.weight"]
    ]
    with_scale = converted("lstm_lm_alone", "--tie-embeddings=all")
    assert names_of_one(with_scale, (20, 8)) == [["decoder.embed_tokens.weight"], ["decoder.fc_out.weight"]]
    first, second = (with_scale.state_dict[f"decoder.{name}.weight"] for name in ("embed_tokens", "fc_out"))
    torch.testing.assert_close(first, second * 8**0.5)


def test_names_are_stock_versions_stay_and_no_flag_of_ours_is_left():
    stock = converted("transformer_alone", "--share-all-embeddings", *PRE_NORM)
    assert stock.config["model"]["arch"] == stock.config["model"]["_name"] == "transformer"
    assert not [name for name in stock.config["model"] if name.startswith(("alone", "tie_emb", "output_projection"))]
    assert {name for name in stock.state_dict if name.endswith("version")} == {"encoder.version", "decoder.version"}
    assert stock.config["task"]["_name"] == "translation"


def test_a_length_encoding_is_refused():
    trained = toy_trained("transformer_alone_duc", "--length-encoding=lrpe", task="headline_generation")
    with pytest.raises(UserError, match="toy: was trained with --length-encoding lrpe, which no other tool has"):
        stock_model(trained)
