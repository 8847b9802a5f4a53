"""The length encodings inside fairseq's Transformer."""

import argparse
import copy

import pytest
import torch
from fairseq.models import ARCH_CONFIG_REGISTRY
from fairseq.models.transformer.transformer_decoder import TransformerDecoderBase
from fairseq.models.transformer.transformer_encoder import TransformerEncoderBase
from toy_checkpoints import toy_model, write_checkpoint

from fairseq_alone.cli.report import describe
from fairseq_alone.errors import UserError
from fairseq_alone.models.length_control import LengthControlledDecoder, LengthPositions
from fairseq_alone.modules import LengthEncoding

PAD, EOS = 1, 2
ARCHS = ["transformer_length_duc", "transformer_alone_duc", "transformer_factorized_duc"]
ENCODINGS = [("ldpe", False), ("ldpe", True), ("lrpe", False), ("lrpe", True)]

# Sources are padded on the left, decoder inputs on the right, as fairseq does by default.
SOURCES = torch.tensor([[5, 6, 7, EOS], [PAD, 8, 9, EOS], [PAD, PAD, 4, EOS]])
SOURCE_LENGTHS = torch.tensor([4, 3, 2])
OUTPUTS = torch.tensor([[EOS, 10, 11, PAD, PAD], [EOS, 14, 15, 16, 17], [EOS, 12, 13, 14, PAD]])


def headline_model(arch="transformer_length_duc", **flags):
    return toy_model(arch, task="headline_generation", dropout=0.0, **flags)[0].eval()


def encode(model, lengths=None, rows=slice(None)):
    lengths = None if lengths is None else torch.tensor(lengths)
    return model.encoder(SOURCES[rows], SOURCE_LENGTHS[rows], target_lengths=lengths)


@torch.no_grad()
def logits(model, lengths=None, outputs=OUTPUTS):
    return model.decoder(outputs, encode(model, lengths))[0]


@pytest.mark.parametrize(("encoding", "absolute"), ENCODINGS)
@pytest.mark.parametrize("arch", ARCHS)
@torch.no_grad()
def test_step_by_step_equals_the_full_forward(arch, encoding, absolute):
    """Two beams for each of three sentences with their own lengths; beams swap, then the first sentence is done."""
    model = headline_model(arch, length_encoding=encoding, length_with_absolute=absolute)
    outputs = torch.cat((OUTPUTS, OUTPUTS + 2 * (OUTPUTS > EOS)))  # the second beam has other words
    outputs = outputs[[0, 3, 1, 4, 2, 5]]
    beams = torch.tensor([0, 0, 1, 1, 2, 2])
    encoder_out = model.encoder.reorder_encoder_out(encode(model, [30, 9, 6]), beams)
    expected = model.decoder(outputs, encoder_out)[0]
    state, rows = {}, list(range(6))
    for step in range(outputs.size(1)):
        order = {1: [1, 0, 3, 2, 4, 5], 3: [3, 2, 4, 4]}.get(step, list(range(len(rows))))
        rows = [rows[row] for row in order]
        encoder_out = model.encoder.reorder_encoder_out(encoder_out, torch.tensor(order))
        model.decoder.reorder_incremental_state_scripting(state, torch.tensor(order))
        found = model.decoder(outputs[rows, : step + 1], encoder_out, incremental_state=state)[0]
        real = outputs[rows, step] != PAD
        assert real.any()
        torch.testing.assert_close(found[real, 0], expected[rows, step][real])
    assert rows == [2, 3, 4, 4]
    assert encoder_out["target_lengths"][0].tolist() == [9, 9, 6, 6]


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize(("encoding", "absolute"), ENCODINGS)
def test_positions_are_those_of_the_row_wherever_its_padding_is(encoding, absolute, learned):
    model = headline_model(length_encoding=encoding, length_with_absolute=absolute, decoder_learned_pos=learned)
    positions = model.decoder.embed_positions
    row = torch.tensor([[EOS, 10, 11]])
    with positions.set_lengths(torch.tensor([8])):
        expected = positions(row)[0]
    assert (expected[1] - expected[2]).abs().max() > 0.1
    padded = torch.tensor([[EOS, 10, 11, PAD, PAD], [PAD, PAD, EOS, 10, 11], [EOS, 12, 13, 14, 15]])
    with positions.set_lengths(torch.tensor([8, 8, 5])):
        found = positions(padded)
        last = positions(padded, incremental_state={})
    torch.testing.assert_close(found[0, :3], expected)
    torch.testing.assert_close(found[1, 2:], expected)
    assert not found[0, 3:].any()
    assert not found[1, :2].any()
    torch.testing.assert_close(last, found[:, -1:])


def test_positions_hold_the_encoding_of_the_formula():
    encoding = LengthEncoding("lrpe", 6)
    positions = LengthPositions(encoding, PAD, None, 99)
    with positions.set_lengths(torch.tensor([5, 7])):
        found = positions(torch.tensor([[PAD, 4, 4], [4, 4, 4]]))
    torch.testing.assert_close(found[0, 1:], encoding(torch.tensor([[0, 1]]), torch.tensor([5]))[0])
    torch.testing.assert_close(found[1], encoding(torch.tensor([[0, 1, 2]]), torch.tensor([7]))[0])
    assert positions.max_positions == 99


@pytest.mark.parametrize("arch", ARCHS)
def test_without_lengths_every_row_is_as_long_as_it_is(arch):
    model = headline_model(arch)
    with torch.no_grad():
        trained = model(SOURCES, SOURCE_LENGTHS, OUTPUTS)[0]
    torch.testing.assert_close(trained, logits(model, [3, 5, 4]))
    assert not torch.allclose(trained[0], logits(model, [6, 5, 4])[0])
    torch.testing.assert_close(trained[1:], logits(model, [6, 5, 4])[1:])


def test_the_lengths_of_one_forward_do_not_reach_the_next():
    model = headline_model()
    first = logits(model)
    logits(model, [30, 9, 6])
    torch.testing.assert_close(logits(model), first)
    with pytest.raises(AttributeError):
        model.decoder.embed_positions(OUTPUTS)


def test_absolute_positions_are_added_to_the_length_encoding():
    both = headline_model(length_encoding="ldpe", length_with_absolute=True)
    ldpe = headline_model(length_encoding="ldpe")
    none = headline_model(length_encoding="none")
    tokens, lengths = OUTPUTS, torch.tensor([30, 9, 6])
    with both.decoder.embed_positions.set_lengths(lengths), ldpe.decoder.embed_positions.set_lengths(lengths):
        total = none.decoder.embed_positions(tokens) + ldpe.decoder.embed_positions(tokens)
        torch.testing.assert_close(both.decoder.embed_positions(tokens), total)


def test_learned_absolute_positions_are_trained_and_saved():
    flags = {"length_with_absolute": True, "decoder_learned_pos": True}
    model = headline_model(**flags)
    saved = copy.deepcopy(model.state_dict())
    expected = logits(model, [30, 9, 6])
    other = headline_model(seed=2, **flags)
    assert not torch.allclose(logits(other, [30, 9, 6]), expected)
    other.load_state_dict(saved)
    torch.testing.assert_close(logits(other, [30, 9, 6]), expected)
    model(SOURCES, SOURCE_LENGTHS, OUTPUTS)[0].logsumexp(-1).sum().backward()
    assert model.decoder.embed_positions.absolute.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("encoding", "absolute"), ENCODINGS)
def test_half_precision(encoding, absolute, dtype):
    model = headline_model(length_encoding=encoding, length_with_absolute=absolute)
    expected = logits(model, [30, 9, 6])
    found = logits(model.to(dtype), [30, 9, 6])
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=0.05)


@pytest.mark.parametrize("arch", ["transformer_length_duc", "transformer_alone_duc"])
def test_no_length_encoding_is_the_ordinary_model(arch):
    """The same seed gives the same model as the architecture without length control, of fairseq's own classes."""
    model = headline_model(arch, length_encoding="none")
    assert type(model.encoder) is TransformerEncoderBase
    assert type(model.decoder) is TransformerDecoderBase
    ordinary = {"transformer_length_duc": "transformer_conventional", "transformer_alone_duc": "transformer_alone"}
    other = toy_model(ordinary[arch], dropout=0.0, alone_inter_dim=12)[0].eval()
    assert type(other.encoder) is TransformerEncoderBase
    assert type(other.decoder) is TransformerDecoderBase
    assert not any("length" in name for name in vars(other.args))
    with torch.no_grad():
        assert torch.equal(model(SOURCES, SOURCE_LENGTHS, OUTPUTS)[0], other(SOURCES, SOURCE_LENGTHS, OUTPUTS)[0])


@pytest.mark.parametrize(
    ("arch", "sizes"),
    [
        ("transformer_length_duc", {}),
        ("transformer_alone_duc", {"alone_inter_dim": 512}),
        ("transformer_factorized_duc", {"factorized_dim": 32}),
    ],
)
def test_architectures_are_base_transformers_with_lrpe(arch, sizes):
    args = argparse.Namespace()
    ARCH_CONFIG_REGISTRY[arch](args)
    for side in ("encoder", "decoder"):
        shape = {"embed_dim": 512, "ffn_embed_dim": 2048, "layers": 6, "attention_heads": 8}
        assert {name: getattr(args, f"{side}_{name}") for name in shape} == shape
    assert (args.length_encoding, args.length_with_absolute) == ("lrpe", False)
    assert {name: getattr(args, name) for name in sizes} == sizes


def test_the_length_encoding_takes_the_place_of_positions():
    model = headline_model()
    assert isinstance(model.decoder, LengthControlledDecoder)
    assert model.decoder.embed_positions.encoding.kind == "lrpe"
    assert model.decoder.embed_positions.absolute is None


@pytest.mark.parametrize(("flags", "parameters"), [({}, 0.5e6), ({"alone_inter_dim": 1024}, 1.0e6)])
def test_report_shows_the_papers_embedding_sizes(tmp_path, flags, parameters):
    """Section 3.3: 0.5M and 1.0M for D_inter 512 (the default) and 1024 at D = 512."""
    wide = {f"{side}_embed_dim": 512 for side in ("encoder", "decoder")}
    toy_sizes = {"alone_inter_dim": 512, **flags}
    path = write_checkpoint(
        tmp_path / "duc.pt", arch="transformer_alone_duc", task="headline_generation", **wide, **toy_sizes
    )
    found = describe(path)["parameters"]["embedding"]
    assert found == 512 + 2 * 512 * toy_sizes["alone_inter_dim"]
    assert round(found / 1e6, 1) == parameters / 1e6


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"task": "translation"}, "--length-encoding lrpe needs --task headline_generation"),
        ({"length_encoding": "none", "length_with_absolute": True}, "--length-with-absolute needs --length-encoding"),
        (
            {"length_with_absolute": True, "no_token_positional_embeddings": True},
            "--length-with-absolute contradicts --no-token-positional-embeddings",
        ),
    ],
)
def test_flags_that_do_not_fit_are_refused(flags, words):
    with pytest.raises(UserError, match=words):
        toy_model("transformer_length_duc", **{"task": "headline_generation", **flags})


def test_the_ordinary_task_trains_the_architecture_without_a_length_encoding():
    model = toy_model("transformer_length_duc", length_encoding="none")[0]
    assert type(model.decoder) is TransformerDecoderBase


def test_decoding_without_lengths_is_refused():
    model = headline_model()
    with pytest.raises(UserError, match="--desired-length"):
        model.decoder(OUTPUTS[:, :1], encode(model), incremental_state={})
