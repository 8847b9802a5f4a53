import argparse
import json

import pytest
import torch
from toy_checkpoints import toy_model, write_checkpoint
from toy_trained import toy_trained

from fairseq_alone.cli import main
from fairseq_alone.cli.average import average
from fairseq_alone.cli.report import describe
from fairseq_alone.errors import UserError
from fairseq_alone.export import compact_export
from fairseq_alone.export.bundle import BundleOptions, write_bundle
from fairseq_alone.export.stock import stock_model
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.inference.loading_cost import _peak_bytes, loading_cost
from fairseq_alone.inference.opening import Given, open_model
from fairseq_alone.modules.compact_file import compact_bytes

ARCHITECTURES = ("transformer", "transformer_alone", "transformer_conventional", "transformer_factorized")


def is_embedding(name):
    return "embed_tokens" in name or "output_projection" in name or "output_embedding" in name


@pytest.mark.parametrize("fp16_run", [False, True])
@pytest.mark.parametrize("tying", ["three-way", "two-way", "none"])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_parameters_are_the_models_own(tmp_path, arch, tying, fp16_run):
    flags = {"arch": arch, "tying": tying, "encoder_learned_pos": True}
    described = describe(write_checkpoint(tmp_path / "1.pt", fp16_run=fp16_run, **flags))
    model, _, _ = toy_model(**flags)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    assert described["parameters"] == {
        "embedding": sum(size for name, size in sizes.items() if is_embedding(name)),
        "encoder": sum(size for name, size in sizes.items() if name.startswith("encoder.") and not is_embedding(name)),
        "decoder": sum(size for name, size in sizes.items() if name.startswith("decoder.") and not is_embedding(name)),
        "other": 0,
        "total": sum(sizes.values()),
    }
    tables = {"three-way": 1, "two-way": 2, "none": 3}[tying]
    assert described["conventional_embedding_parameters"] == tables * 20 * 8
    assert described["embedding_ratio"] == described["parameters"]["embedding"] / (tables * 20 * 8)
    assert described["settings"]["tying"] == tying
    assert described["settings"]["vocabulary"] == {"source": 20, "target": 20}
    if arch in ("transformer", "transformer_conventional"):
        assert described["embedding_ratio"] == 1.0


@pytest.mark.parametrize("fp16_run", [False, True])
@pytest.mark.parametrize(("tie", "tied"), [("all", 3), ("decoder", 2), ("none", 0)])
@pytest.mark.parametrize("arch", ["transformer_alone", "transformer_conventional", "transformer_factorized"])
def test_the_report_says_which_tensors_are_one(tmp_path, arch, tie, tied, fp16_run):
    path = write_checkpoint(tmp_path / "1.pt", fp16_run=fp16_run, arch=arch, tying="none", tie_embeddings=tie)
    described = describe(path)
    assert described["settings"]["tying"] == {"all": "three-way", "decoder": "two-way", "none": "none"}[tie]
    modules = {tuple(name.rsplit(".", 1)[0] for name in group["names"]) for group in described["ties"]}
    names = ("encoder.embed_tokens", "decoder.embed_tokens", "decoder.output_projection")
    assert modules == ({names[3 - tied :]} if tied else set())


def test_a_regularised_projection_counts_and_is_no_embedding(tmp_path):
    flags = {"arch": "transformer_conventional", "tying": "none"}
    plain = describe(write_checkpoint(tmp_path / "1.pt", **flags))
    described = describe(write_checkpoint(tmp_path / "2.pt", output_projection_regularization=0.15, **flags))
    assert described["parameters"]["embedding"] == plain["parameters"]["embedding"] + 8 * 8
    assert described["conventional_embedding_parameters"] == plain["conventional_embedding_parameters"]


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize(("tying", "expected"), [("two-way", 20 * 8 + 30 * 8), ("none", 20 * 8 + 2 * 30 * 8)])
def test_two_vocabularies(tmp_path, arch, tying, expected):
    described = describe(write_checkpoint(tmp_path / "1.pt", arch=arch, tying=tying, target_vocabulary=30))
    assert described["conventional_embedding_parameters"] == expected
    assert described["settings"]["vocabulary"] == {"source": 20, "target": 30}


@pytest.mark.parametrize(("inter_dim", "millions"), [(512, 0.5), (1024, 1.0), (4096, 4.2), (8192, 8.4)])
def test_sizes_of_the_papers_embeddings(tmp_path, inter_dim, millions):
    flags = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in (("embed_dim", 512),)}
    flags |= {"encoder_layers": 1, "decoder_layers": 1}
    path = write_checkpoint(tmp_path / "1.pt", arch="transformer_alone", alone_inter_dim=inter_dim, **flags)
    described = describe(path)
    assert round(described["parameters"]["embedding"] / 1e6, 1) == millions
    assert described["settings"]["inter_dim"] == inter_dim
    assert described["settings"]["base_dim"] == 512


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (
            {"alone_base_dim": 6, "alone_num_codebooks": 4, "alone_codebook_size": 5, "alone_zero_probability": 0.25},
            {
                "filter": "binary",
                "base_dim": 6,
                "inter_dim": 12,
                "num_layers": 2,
                "num_codebooks": 4,
                "codebook_size": 5,
            }
            | {"zero_probability": 0.25, "filter_std": None, "seed": 1, "fixed_base": False, "embed_dim": 8},
        ),
        (
            {"alone_filter": "real", "alone_filter_std": 0.5, "alone_seed": 2**64 - 1, "alone_num_layers": 3},
            {"filter": "real", "num_layers": 3, "zero_probability": None, "filter_std": 0.5, "seed": 2**64 - 1}
            | {"free_rows": None},
        ),
        ({"alone_free_rows": "5,3x4"}, {"free_rows": "5,3x4", "inter_dim": 12}),
        (
            {"alone_filter": "naive", "alone_num_layers": 1, "alone_base_dim": 6},
            {
                "filter": "naive",
                "num_layers": 1,
                "inter_dim": None,
                "base_dim": 6,
                "embed_dim": 8,
                "num_codebooks": None,
            }
            | {"codebook_size": None, "zero_probability": 0.5, "filter_std": None},
        ),
    ],
)
def test_settings_of_alone(tmp_path, flags, expected):
    described = describe(write_checkpoint(tmp_path / "1.pt", arch="transformer_alone", **flags))
    settings = described["settings"]
    assert settings["arch"] == "transformer_alone"
    assert settings["embedding"] == "alone"
    assert {name: settings[name] for name in expected} == expected


def test_naive_filters_take_the_memory_of_a_table(tmp_path):
    """Table 1 of the ALONE paper."""
    flags = {"arch": "transformer_alone", "vocabulary": 30, "alone_base_dim": 8}
    naive = describe(write_checkpoint(tmp_path / "naive.pt", **flags, alone_filter="naive"))["settings"]
    binary = describe(write_checkpoint(tmp_path / "binary.pt", **flags))["settings"]
    assert naive["filter_memory"] == 30 * 8 * 4 + 30 * 4
    assert binary["filter_memory"] == 8 * 64 * 8 * 4 + 30 * 8 * 4


def test_settings_of_factorized(tmp_path):
    settings = describe(write_checkpoint(tmp_path / "1.pt", arch="transformer_factorized"))["settings"]
    assert (settings["embedding"], settings["factorized_dim"], settings["filter"]) == ("factorized", 3, None)


def test_free_rows_count_as_embedding(tmp_path):
    plain = describe(write_checkpoint(tmp_path / "1.pt", arch="transformer_alone"))
    rows = describe(write_checkpoint(tmp_path / "2.pt", arch="transformer_alone", alone_free_rows="2,3x4"))
    assert rows["parameters"]["embedding"] == plain["parameters"]["embedding"] + 2 * 8 + 3 * 4 + 4 * 8
    ties = [tie for tie in rows["ties"] if ".free." in tie["stored"][0]]
    assert len(ties) == 3
    assert {tuple(name.split(".")[0] for name in tie["names"]) for tie in ties} == {("encoder", "decoder", "decoder")}


def test_the_output_layer_of_fairseqs_lstm_belongs_to_the_embedding(tmp_path):
    words = 20
    checkpoint = write_checkpoint(tmp_path / "1.pt")
    state = torch.load(checkpoint, weights_only=False)
    state["model"] = {
        "decoder.embed_tokens.weight": torch.rand(words, 8),
        "decoder.fc_out.weight": torch.rand(words, 16),
        "decoder.fc_out.bias": torch.rand(words),
        "decoder.layers.0.weight_ih": torch.rand(64, 8),
    }
    state["cfg"]["model"] = argparse.Namespace(arch="lstm_lm")
    torch.save(state, checkpoint)
    described = describe(checkpoint)
    assert described["parameters"]["embedding"] == words * (8 + 16 + 1)
    assert described["conventional_embedding_parameters"] == words * (8 + 16)


def test_fixed_base_is_no_trained_parameter(tmp_path):
    trained = describe(write_checkpoint(tmp_path / "1.pt", arch="transformer_alone"))
    fixed = describe(write_checkpoint(tmp_path / "2.pt", arch="transformer_alone", alone_fix_base=True))
    assert fixed["parameters"]["embedding"] == trained["parameters"]["embedding"] - 8
    assert fixed["settings"]["fixed_base"] is True


def test_ties_name_what_is_stored_and_what_is_dropped(tmp_path):
    table = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "decoder.output_projection.weight"]
    for fp16_run in (False, True):
        described = describe(write_checkpoint(tmp_path / "1.pt", fp16_run=fp16_run))
        assert described["ties"] == [{"names": table, "stored": table}]
    described = describe(write_checkpoint(tmp_path / "2.pt", arch="transformer_alone"))
    modules = ("encoder.embed_tokens", "decoder.embed_tokens", "decoder.output_projection")
    assert described["ties"] == [
        {"names": [f"{module}.{name}" for module in modules], "stored": [f"encoder.embed_tokens.{name}"]}
        for name in ("o", "w1", "w2")
    ]
    described = describe(write_checkpoint(tmp_path / "3.pt", arch="transformer_factorized", tying="two-way"))
    assert described["ties"] == [
        {"names": [f"{module}.{name}" for module in modules[1:]], "stored": [f"decoder.embed_tokens.{name}"]}
        for name in ("factor", "projection")
    ]
    for arch in ARCHITECTURES:
        assert describe(write_checkpoint(tmp_path / "4.pt", arch=arch, tying="none"))["ties"] == []


def test_sizes_with_and_without_optimizer(tmp_path):
    path = write_checkpoint(tmp_path / "1.pt", updates=70, fp16_run=True, vocabulary=2000)
    state = torch.load(path, weights_only=True)["model"]
    before = describe(path)
    assert before["updates"] == 70
    assert before["averaged_from"] is None
    assert before["file_bytes"] == (tmp_path / "1.pt").stat().st_size
    assert before["model_bytes"] == sum(tensor.nbytes for tensor in state.values())  # with the copies of the table
    average([path], str(tmp_path / "mean.pt"))
    after = describe(str(tmp_path / "mean.pt"))
    assert after["averaged_from"] == ["1.pt"]
    assert after["parameters"] == before["parameters"]
    assert before["model_bytes"] - after["model_bytes"] == 2 * 2000 * 8 * 4
    assert after["model_bytes"] < after["file_bytes"] < before["file_bytes"]


def test_table_and_json(tmp_path, capsys):
    first = write_checkpoint(tmp_path / "conventional.pt", vocabulary=1234)
    second = write_checkpoint(tmp_path / "alone.pt", arch="transformer_alone", vocabulary=1234, updates=5000)
    assert main(["report", first, second]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line[:28].strip(): line[28:].split() for line in lines if not line.startswith("  enc")}
    assert lines[0].split() == ["conventional.pt", "alone.pt"]
    assert rows["D_inter"] == ["-", "12"]
    assert rows["vocabulary V"] == ["1,234", "1,234"]
    assert rows["updates"] == ["10", "5,000"]
    assert rows["embedding parameters"] == [f"{1234 * 8:,}", str(8 + 2 * 12 * 8)]
    assert "factorized d" not in rows
    # A table of 1,234 words with 8 values of 4 bytes is 0.04 MB; o, W1 and W2 have 200 values.
    assert rows["stock fairseq's file"][0] == rows["MB of embedding / all, fp32"][0] == "0.04"
    assert rows["stock fairseq's file"][3] == "0.04"
    assert rows["MB of embedding / all, fp32"][3] == "0.00"
    assert "  encoder.embed_tokens.w1 = decoder.embed_tokens.w1 (not in the file)" in "\n".join(lines)

    assert main(["report", first, second, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [describe(first), describe(second)]


PRODUCTS = (
    ("transformer_alone", "--share-all-embeddings", "--alone-inter-dim=12"),
    ("transformer_factorized", "--share-decoder-input-output-embed"),
    ("transformer_conventional",),
    ("transformer_lm_alone", "--share-decoder-input-output-embed"),
    ("lstm_lm_alone", "--share-decoder-input-output-embed"),
    ("lstm_lm_alone", "--share-decoder-input-output-embed", "--no-scale-embedding"),
    ("lstm_lm_conventional",),
    ("lstm_lm", "--decoder-out-embed-dim=8"),
)


@pytest.mark.parametrize("flags", PRODUCTS, ids=" ".join)
def test_bytes_of_the_products_are_those_of_the_products(tmp_path, flags):
    trained = toy_trained(*flags)
    model = argparse.Namespace(**trained.config["model"])
    path = str(tmp_path / "1.pt")
    torch.save({"cfg": {"model": model}, "model": trained.model.state_dict()}, path)
    told = describe(path)["product_bytes"]
    for kind in ("fp32", "fp16", "int8", "int4"):
        compact_export.write(trained, tmp_path / kind, ExportOptions(quantization=kind))
        sizes = compact_bytes(tmp_path / kind)
        expected = {"embedding": sizes["embedding"], "model": sum(sizes.values()) - sizes["metadata"]}
        assert told["trained" if kind == "fp32" else kind] == expected
    state = stock_model(trained).state_dict
    tensors = {tensor.data_ptr(): (is_embedding(name) or "fc_out" in name, tensor) for name, tensor in state.items()}
    assert told["stock"] == {
        "embedding": sum(tensor.nbytes for of_embedding, tensor in tensors.values() if of_embedding),
        "model": sum(tensor.nbytes for _, tensor in tensors.values()),
    }


@pytest.mark.parametrize("flags", PRODUCTS[:4], ids=" ".join)
def test_compact_files_and_bundles_are_described_as_their_checkpoint(tmp_path, flags):
    trained = toy_trained(*flags)
    path, compact, folder = str(tmp_path / "1.pt"), tmp_path / "1.safetensors", tmp_path / "bundle"
    model = argparse.Namespace(**trained.config["model"])
    torch.save({"cfg": {"model": model}, "model": trained.model.state_dict()}, path)
    compact_export.write(trained, compact, ExportOptions(quantization="fp32"))
    write_bundle(trained, str(folder), BundleOptions(quantization="int8", licence="MIT"))
    expected, sizes = describe(path), compact_bytes(compact)
    own = {"path": str(compact), "file_bytes": compact.stat().st_size, "updates": None}
    own["model_bytes"] = sum(sizes.values()) - sizes["metadata"]
    assert describe(str(compact)) == {**expected, **own}
    told = describe(str(folder))
    assert {**told, **own} == {**expected, **own}
    assert told["file_bytes"] == sum(file.stat().st_size for file in folder.iterdir())
    assert told["model_bytes"] == expected["product_bytes"]["int8"]["model"]


def test_bits_of_the_training_are_told(tmp_path, capsys):
    flags = {"arch": "transformer_alone", "embedding_bits": 4}
    paths = write_checkpoint(tmp_path / "4.pt", **flags), write_checkpoint(tmp_path / "32.pt")
    assert [describe(path)["settings"]["embedding_bits"] for path in paths] == [4, None]
    assert main(["report", *paths]) == 0
    assert "trained for bits" in capsys.readouterr().out


def test_a_run_is_described_as_what_it_decodes_with(tmp_path, monkeypatch, capsys):
    run = tmp_path / "runs" / "one"
    (run / "checkpoints").mkdir(parents=True)
    (tmp_path / "prepare.settings").touch()
    best = write_checkpoint(run / "checkpoints" / "checkpoint_best.pt", updates=30)
    opened = []
    monkeypatch.setattr("fairseq_alone.inference.opening.open_model", opened.append)
    assert describe(str(run)) == {**describe(best), "path": str(run)}
    average([best], str(run / "averaged.pt"))
    assert describe(str(run)) == {**describe(str(run / "averaged.pt")), "path": str(run)}
    # Opening averages what is not averaged yet.
    assert opened == [str(run), str(run)]
    assert main(["report", str(run)]) == 0
    assert "compact: without the dictionary" in capsys.readouterr().out


def test_no_updates_are_a_dash(tmp_path, capsys):
    compact = tmp_path / "1.safetensors"
    compact_export.write(toy_trained("transformer_alone"), compact, ExportOptions(quantization="int4"))
    assert main(["report", write_checkpoint(tmp_path / "1.pt"), str(compact)]) == 0
    rows = {line[:28].strip(): line[28:].split() for line in capsys.readouterr().out.splitlines()}
    assert rows["updates"] == ["10", "-"]
    (tmp_path / "folder").mkdir()
    assert main(["report", str(tmp_path / "folder")]) == 1
    assert (
        "is no run of a recipe (WORK/runs/RUN), no bundle, no compact file and no checkpoint" in capsys.readouterr().err
    )


def test_a_length_encoding_has_no_stock_model(tmp_path):
    flags = {"arch": "transformer_alone_duc", "length_encoding": "ldpe", "task": "headline_generation"}
    assert describe(write_checkpoint(tmp_path / "1.pt", **flags))["product_bytes"]["stock"] is None


@pytest.mark.slow
def test_loading_is_measured_in_a_process_of_its_own(trained, data):
    held = torch.ones(600_000_000, dtype=torch.uint8)
    cost = loading_cost(str(trained / "checkpoint_best.pt"), str(data))
    assert cost["load_seconds"] > 0
    # torch alone has 100 MB. What this process holds beside the libraries is not counted.
    assert 1e8 < cost["libraries_bytes"] <= cost["peak_bytes"] < _peak_bytes() - held.nbytes / 2


def test_costs_are_those_of_the_checkpoint_and_of_its_compact_file(trained, data, monkeypatch, capsys):
    def cost(path, data=None, user_dir=None):
        # The compact file is there, and knows its dictionary itself.
        model = open_model(path, Given(data)).model
        return {
            "load_seconds": 2.0 if data else 1.0,
            "peak_bytes": 5e8,
            "libraries_bytes": 4e8,
            "is": type(model).__name__,
        }

    monkeypatch.setattr("fairseq_alone.inference.loading_cost.loading_cost", cost)
    command = ["report", str(trained / "checkpoint_best.pt"), "--cost", "--data", str(data)]
    assert main(command) == 0
    rows = {line[:34].strip(): line[34:].split() for line in capsys.readouterr().out.splitlines()}
    assert rows["as given: loaded in s"] == ["2.00"]
    assert rows["compact fp16: loaded in s"] == ["1.00"]
    assert rows["compact fp16: peak memory, MB"] == ["500.00"]
    assert main([*command, "--json"]) == 0
    (description,) = json.loads(capsys.readouterr().out)
    assert {form: found["is"] for form, found in description["cost"].items()} == {
        "checkpoint": "TransformerAloneModel",
        "compact": "TransformerAloneModel",
    }
    assert main(command[:2] + command[3:]) == 1
    assert "--data is for --cost only" in capsys.readouterr().err


def test_what_cannot_be_loaded_has_no_cost(monkeypatch):
    module = "fairseq_alone.inference.loading_cost"
    monkeypatch.setattr(f"{module}._CODE", "import sys; sys.exit(f'note\\n1.pt: is damaged')")
    with pytest.raises(UserError, match="^1.pt: is damaged$"):
        loading_cost("1.pt")
    with pytest.raises(UserError, match="^2.pt: cannot be loaded to measure the cost .1.pt: is damaged.$"):
        loading_cost("2.pt")


def test_bad_files_are_refused(tmp_path, capsys):
    def strip(checkpoint):
        checkpoint["model"] = {"layer.weight": torch.zeros(2)}

    def damage(checkpoint):
        checkpoint["model"]["encoder.embed_tokens.filters.filter_version"] = torch.zeros(3, dtype=torch.int64)

    def forget(checkpoint):
        del checkpoint["model"]["encoder.embed_tokens.filters.filter_version"]

    with pytest.raises(UserError, match="1.pt: holds no encoder.embed_tokens and no decoder.embed_tokens"):
        describe(write_checkpoint(tmp_path / "1.pt", change=strip))
    with pytest.raises(UserError, match="2.pt: encoder.embed_tokens: the filter fingerprint is damaged"):
        describe(write_checkpoint(tmp_path / "2.pt", arch="transformer_alone", change=damage))
    with pytest.raises(UserError, match="3.pt: encoder.embed_tokens is no embedding of a known kind"):
        describe(write_checkpoint(tmp_path / "3.pt", arch="transformer_alone", change=forget))
    assert main(["report", str(tmp_path / "nowhere.pt")]) == 1
    assert "nowhere.pt" in capsys.readouterr().err
