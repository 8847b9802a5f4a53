"""``--embedding-bits``: what is written as a compact file of as many bits is the model that was trained."""

import json

import pytest
import torch
from fairseq_training import parameters, train, trainer, updates
from small_models import KINDS
from small_models import build as small
from toy_trained import toy_trained

from fairseq_alone.errors import UserError
from fairseq_alone.export import compact_export
from fairseq_alone.export.bundle import BundleOptions, describe
from fairseq_alone.export.stock import build_stock
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.inference.compact_source import read_compact
from fairseq_alone.modules.compact_file import compact_bytes, read_metadata
from fairseq_alone.modules.quantization import rounded
from fairseq_alone.modules.rounding import QUANTIZATION_OF_BITS

SOURCE, LENGTHS = torch.tensor([[5, 6, 7, 2], [8, 9, 2, 1]]), torch.tensor([4, 3])
TARGET = torch.tensor([[2, 5, 6], [2, 7, 8]])
NETWORKS = ("transformer_{}", "transformer_lm_{}", "lstm_lm_{}")
TYINGS = {"transformer_{}": ("all", "decoder", "none"), "transformer_lm_{}": ("decoder", "none")}
ROWS = {"codes": ("--codes-free-rows=2,9x3", "--codes-num-codebooks=3"), "alone": ("--alone-free-rows=2,4x3",)}
HALF = ("--fp16", "--fp16-no-flatten-grads", "--fp16-init-scale=2")
REGULARIZED = ("--output-projection-regularization=0.1", "--criterion=cross_entropy_with_augmented_loss")


def models():
    for network in NETWORKS:
        for kind in KINDS:
            for tying in TYINGS.get(network, ("decoder",)):
                bits = 8 if tying == "none" else 4
                flags = (f"--tie-embeddings={tying}", f"--embedding-bits={bits}", *ROWS.get(kind, ()))
                yield pytest.param(network.format(kind), flags, id=f"{network.format(kind)}-{tying}-{bits}")
    regularized = ("--tie-embeddings=none", "--embedding-bits=4", *REGULARIZED)
    yield pytest.param("transformer_conventional", regularized, id="regularized")


@torch.no_grad()
def logits(trained):
    model = getattr(trained, "model", trained)
    return (model(SOURCE, LENGTHS, TARGET) if hasattr(model, "encoder") else model(TARGET))[0]


def embeddings(model):
    return {name: module for name, module in model.named_modules() if hasattr(module, "matrix")}


def written(trained, folder, *quantizations):
    path = folder / "model.safetensors"
    compact_export.write(trained, path, ExportOptions(*quantizations))
    return path


@torch.no_grad()
@pytest.mark.parametrize(("arch", "flags"), models())
def test_its_compact_file_is_the_same_function_bit_for_bit(arch, flags, tmp_path):
    trained = toy_trained(arch, *flags)
    bits = trained.config["model"]["embedding_bits"]
    read = read_compact(str(written(trained, tmp_path, "fp32", QUANTIZATION_OF_BITS[bits])))
    found = embeddings(read.model)
    for name, module in embeddings(trained.model).items():
        # An output layer of its own is fairseq's where nothing is rounded.
        other = found.get(name, getattr(read.model.decoder, "output_projection", None))
        assert torch.equal(module.matrix(), other.matrix() if name in found else other.weight)
        assert getattr(other, "rounding", None) is None
        for tensor, parameter in zip(module.parameters(), other.parameters(), strict=True):
            assert not torch.equal(tensor, parameter), name
            assert torch.equal(rounded(tensor, QUANTIZATION_OF_BITS[bits]), parameter)
    assert torch.equal(logits(read), logits(trained))
    # With the floating values it would be another function: the test above is about something.
    plain = toy_trained(arch, *(flag for flag in flags if not flag.startswith("--embedding-bits")))
    assert not torch.equal(logits(plain), logits(trained))


@pytest.mark.parametrize("kind", KINDS)
def test_other_exports_have_what_the_model_computes(kind, tmp_path):
    trained = toy_trained(f"transformer_{kind}", "--tie-embeddings=all", "--embedding-bits=4", *ROWS.get(kind, ()))
    expected = logits(trained)
    # A product with a whole table has other roundings than one with its blocks.
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if kind == "differentiated" else {"rtol": 0, "atol": 0}
    torch.testing.assert_close(logits(build_stock(trained)[0]), expected, **tolerance)
    assert torch.equal(logits(read_compact(str(written(trained, tmp_path, "fp32", "fp32")))), expected)


@pytest.mark.slow  # compiling
def test_a_script_of_a_table_has_what_the_model_computes():
    trained = toy_trained("transformer_conventional", "--tie-embeddings=all", "--embedding-bits=4")
    scripted = torch.jit.script(trained.model)
    torch.testing.assert_close(scripted(SOURCE, LENGTHS, TARGET)[0], logits(trained))


def test_its_own_type_is_the_default_and_counts_as_no_rounding(tmp_path):
    trained = toy_trained("transformer_conventional", "--tie-embeddings=all", "--embedding-bits=8", vocabulary=50)
    path = written(trained, tmp_path, "fp32")
    assert compact_bytes(path)["embedding"] == 50 * (8 + 2)
    assert json.loads(read_metadata(path)["rounded"]) == []
    assert json.loads(read_metadata(written(trained, tmp_path, "fp16", "int4"))["rounded"]) == ["fp16", "int4"]
    description = describe(trained, BundleOptions())
    assert [description[name] for name in ("quantization", "embedding_quantization", "rounded")] == ["fp32", "int8", []]
    assert describe(trained, BundleOptions("int8", "fp16"))["rounded"] == ["fp16", "int8"]


@pytest.mark.parametrize("tying", ["all", "none"])
def test_tables_load_checkpoints_of_other_bits(tying):
    flag = f"--tie-embeddings={tying}"
    plain, bits = (small("transformer_conventional", flag, *more) for more in ((), ("--embedding-bits=8",)))
    for saved, other in ((plain, bits), (bits, plain)):
        names = dict(other.named_parameters())
        other.load_state_dict(saved.state_dict())
        for name, parameter in saved.named_parameters():
            name = name if name in names else name.replace("output_projection", "output_embedding")
            name = name if name in names else name.replace("output_embedding", "output_projection")
            assert torch.equal(names[name], parameter)
        with torch.no_grad():
            for parameter in saved.parameters():
                parameter.add_(1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["conventional", "alone"])
def test_training_rounds_from_its_update_on(kind):
    flags = [f"--arch=transformer_{kind}", "--tie-embeddings", "all"]
    flags += ["--alone-inter-dim=12"] if kind == "alone" else []
    runs = {}
    for name, more in {"never": (), "late": ("--embedding-bits=4", "--embedding-bits-after=2")}.items():
        training = trainer(*flags, *more)
        for part in (updates([1, 1]), updates([1], seed=2)):
            runs.setdefault(name, []).append(train(training, part))
    assert runs["late"][0] == runs["never"][0]
    assert runs["late"][1] != runs["never"][1]


def test_half_precision_trains():
    training = trainer("--arch=transformer_codes", "--codes-num-codebooks=3", *HALF, "--embedding-bits=8")
    before = parameters(training)
    train(training, updates([1, 2]))
    after = parameters(training)
    assert all(after[name].isfinite().all() for name in after)
    assert not torch.equal(after["encoder.embed_tokens.codebooks"], before["encoder.embed_tokens.codebooks"])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--embedding-bits=8", "--embedding-bits-after=-1"], "--embedding-bits-after must be at least 0, got -1"),
        (["--embedding-bits-after=5"], "--embedding-bits-after 5 needs --embedding-bits 8 or 4"),
    ],
)
def test_flags_that_are_refused(flags, words):
    with pytest.raises(UserError, match=words):
        small("transformer_factorized", *flags)
