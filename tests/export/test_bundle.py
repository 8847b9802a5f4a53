"""Bundles: what is in them, that they are the model, and folders that are refused."""

import getpass
import hashlib
import json
import os
import re
import socket

import pytest
import torch
from toy_trained import toy_trained

import fairseq_alone.files
from fairseq_alone.cli import main
from fairseq_alone.cli.report import describe
from fairseq_alone.errors import UserError
from fairseq_alone.export import bundle
from fairseq_alone.export.bundle import BundleOptions, write_bundle
from fairseq_alone.inference.backend import Search
from fairseq_alone.inference.fairseq_backend import FairseqBackend
from fairseq_alone.inference.opening import open_model
from fairseq_alone.inference.text_pipeline import TextPipeline
from fairseq_alone.inference.trained_model import Decoding, TextSettings

CODES = b"#version: 0.2\nw 1\n"
SCORES = {
    "BLEU": {"score": 30.916, "signature": "nrefs:1|case:mixed"},
    "chrF": {"score": 55.5, "signature": "nrefs:1"},
    "sentences": 1000,
    "examples": [{"source": "a secret sentence"}],
}
SEARCH = Search(beam=2, lenpen=1.0, sentences=2, max_len_a=0.0, max_len_b=5)


def translation(*flags):
    trained = toy_trained("transformer_alone", "--tie-embeddings=all", *flags)
    trained.text = TextSettings("en", "de", "moses", "en", "subword-nmt", CODES, ("<unk>",))
    trained.decoding, trained.scores = Decoding(beam=4, lenpen=0.6), SCORES
    return trained


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    write_bundle(translation(), str(folder), BundleOptions(licence="MIT", note="From two books."))
    return folder


@pytest.fixture
def copy(written, tmp_path):
    import shutil

    return shutil.copytree(written, tmp_path / "copy")


def pipeline(trained):
    return TextPipeline(trained.text, trained.path)


def decoded(trained, **search):
    return FairseqBackend(trained).decode(["w1 w2 w3", "w4"], Search(**{**vars(SEARCH), **search}))


def test_it_is_the_model(written):
    trained, read = translation(), open_model(str(written))
    assert sorted(os.listdir(written)) == [
        *("LICENSE", "README.md", "manifest.json", "model.safetensors", "subwords.codes"),
    ]
    assert (written / "subwords.codes").read_bytes() == CODES
    assert (read.path, read.kind, read.text, read.decoding, read.config) == (
        *(str(written), "translation", trained.text, trained.decoding, trained.config),
    )
    assert read.scores == {name: value for name, value in SCORES.items() if name != "examples"}
    for name, tensor in trained.model.state_dict().items():
        assert torch.equal(read.model.state_dict()[name], tensor), name
    assert decoded(read) == decoded(trained)


def test_headlines_and_language_models(tmp_path):
    headlines = toy_trained("transformer_alone_duc", task="headline_generation")
    headlines.text = TextSettings("source", "headline", subwords="sentencepiece", subword_model=b"m", lowercase=True)
    write_bundle(headlines, str(tmp_path / "headlines"), BundleOptions())
    read = open_model(str(tmp_path / "headlines"))
    assert (tmp_path / "headlines/sentencepiece.model").read_bytes() == b"m"
    assert (read.kind, read.text) == ("headlines", headlines.text)
    assert decoded(read, desired_length=4) == decoded(headlines, desired_length=4)
    assert "--desired-length" in (tmp_path / "headlines/README.md").read_text()

    model = toy_trained("lstm_lm_alone")
    model.scores = {"language_model": {"valid": {"perplexity": 80.5, "tokens": 1234}}}
    write_bundle(model, str(tmp_path / "lm"), BundleOptions())
    read = open_model(str(tmp_path / "lm"))
    tokens = torch.tensor([[2, 5, 6, 7]])
    with torch.no_grad():
        assert torch.equal(read.model(tokens)[0], model.model(tokens)[0])
    card = (tmp_path / "lm/README.md").read_text()
    assert "| perplexity of valid (1,234 words) |  80.5 |" in card
    assert "fairseq-alone perplexity BUNDLE < text.txt" in card


def test_the_card(written):
    card = (written / "README.md").read_text()
    assert card.startswith("# Translation from en to de\n")
    assert 'fairseq-alone translate BUNDLE "A sentence."' in card
    assert "From two books." in card
    assert "| BLEU (nrefs:1|case:mixed) | 30.92 |" in card
    assert "| bytes with all numbers in | embedding | whole model |" in card
    assert [line.split("|")[1].strip() for line in card.split("whole model |")[1].splitlines()[2:6]] == [
        *("fp32", "fp16", "int8", "int4"),
    ]
    assert "See the file LICENSE." in card
    assert "Its numbers are float32.\n" in card
    assert "Of the 1,000 sentences of the test set of the recipe that trained the model." in card
    assert re.search(r"\| subwords of the source +\| +20 \|\n\| subwords of the target +\| +20 \|", card)
    assert "Install fairseq_alone with its extra `export` (from its repository)" in card
    assert "pip install" not in card
    total = describe(str(written))["parameters"]["total"]
    assert f"It has {total:,} trained values." in card
    assert "rounding" not in card
    assert re.search(rf"\| together +\| +{(written / 'model.safetensors').stat().st_size:,} \|", card)
    assert "A sentence may have at most 39 subwords" in card
    assert (written / "LICENSE").read_text() == "MIT\n"


def test_without_licence_and_scores_the_card_says_so(tmp_path):
    model = toy_trained("transformer_lm_alone")
    write_bundle(model, str(tmp_path / "bundle"), BundleOptions("int8", "int4"))
    card = (tmp_path / "bundle/README.md").read_text()
    assert "Whoever made this model must choose one" in card
    assert "Nothing was measured." in card
    assert (
        "8 bits with a scale for each row; the embedding's whole numbers of 4 bits with a scale for each 32 values"
        in card
    )
    assert "Rounding may change probabilities; measure it before you rely on it." in card
    assert "| words of the target" in card
    assert not (tmp_path / "bundle/LICENSE").exists()


@pytest.mark.parametrize(
    ("kind", "shown", "left_out"),
    [
        ("binary", "zero_probability", ("filter_std",)),
        ("real", "filter_std", ("zero_probability",)),
        ("naive", "zero_probability", ("num_codebooks", "codebook_size", "filter_std")),
    ],
)
def test_the_card_leaves_out_what_has_no_effect(kind, shown, left_out, tmp_path):
    flags = (f"--alone-filter={kind}", "--alone-filter-std=2", "--alone-zero-probability=0.25", "--alone-fix-base")
    write_bundle(toy_trained("transformer_alone", *flags), str(tmp_path / "bundle"), BundleOptions())
    card = (tmp_path / "bundle/README.md").read_text()
    assert f"`alone_{shown}`" in card
    assert not any(name in card for name in left_out)
    # The base that is not trained does not count.
    total = describe(str(tmp_path / "bundle"))["parameters"]["total"]
    assert f"It has {total:,} trained values." in card


def test_the_same_model_gives_the_same_bytes_anywhere(written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_bundle(translation(), "other", BundleOptions(licence="MIT\n", note="From two books."))
    for name in os.listdir(written):
        content = (written / name).read_bytes()
        assert content == (tmp_path / "other" / name).read_bytes(), name
        for private in (str(tmp_path.parent), os.path.expanduser("~") + "/", socket.gethostname(), "secret"):
            assert private.encode() not in content, (name, private)
        assert f"/{getpass.getuser()}/".encode() not in content


def test_a_bundle_of_a_bundle(written, tmp_path, capsys):
    small, again = str(tmp_path / "small"), str(tmp_path / "again")
    assert main(["bundle", str(written), small, "--quantization", "int8"]) == 0
    assert "model.safetensors" in capsys.readouterr().out
    assert (tmp_path / "small/LICENSE").read_text() == "MIT\n"
    card = (tmp_path / "small/README.md").read_text()
    assert "From two books." in card
    assert "with the numbers of the training, before rounding" in card
    assert os.path.getsize(f"{small}/model.safetensors") < (written / "model.safetensors").stat().st_size * 0.9
    # Exact from here on, and with another licence.
    licence = tmp_path / "licence.txt"
    licence.write_text("Mine.\n")
    assert main(["bundle", small, again, "--licence", str(licence), "--note", "Smaller.", "--quiet"]) == 0
    assert decoded(open_model(again)) == decoded(open_model(small))
    assert open_model(again).rounded == ("int8",)
    card = (tmp_path / "again/README.md").read_text()
    assert "Its numbers are float32. Since the training they were rounded to int8." in card
    assert "before rounding" in card
    assert (tmp_path / "again/LICENSE").read_text() == "Mine.\n"
    assert "Smaller." in (tmp_path / "again/README.md").read_text()


@pytest.mark.parametrize("name", ["LICENSE", "README.md", "manifest.json", "model.safetensors", "subwords.codes"])
def test_damaged_and_missing_files_are_named(copy, name):
    file = copy / name
    content = file.read_bytes()
    for at in (0, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(UserError, match=f"copy/{name}: is (damaged|no manifest)"):
            open_model(str(copy))
    file.write_bytes(content[:-1])
    with pytest.raises(UserError, match=f"copy/{name}: is damaged"):
        open_model(str(copy))
    file.unlink()
    with pytest.raises(UserError, match="no bundle" if name == "manifest.json" else f"copy/{name}: is missing"):
        open_model(str(copy))


def signed(manifest):
    """A manifest whose checksum is right, whatever it says."""
    text = json.dumps({**manifest, "checksum": "0" * 64})
    return text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest(), 1)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "..", "a/b", "a\\b", ".hidden"])
def test_no_name_leads_out_of_the_folder(copy, name):
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"][name] = manifest["files"]["LICENSE"]
    (copy / "manifest.json").write_text(signed(manifest))
    with pytest.raises(UserError, match=r"manifest\.json: names a file outside of the bundle"):
        open_model(str(copy))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format_version": 2}, r"has version 2 of the format, but this fairseq_alone reads version 1"),
        ({"format": "other"}, r"is no manifest of a bundle"),
        ({"files": {}}, r"names no model\.safetensors"),
        ({"files": {"README.md": 3}}, r"does not list the files"),
        ({"files": None}, r"does not list the files"),
    ],
)
def test_newer_and_foreign_manifests(copy, change, sentence):
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(signed({**manifest, **change}))
    with pytest.raises(UserError, match=rf"copy/manifest\.json: .*{sentence}"):
        open_model(str(copy))
    (copy / "manifest.json").write_text('["a list"]')
    with pytest.raises(UserError, match="is no manifest of a bundle"):
        open_model(str(copy))


def test_files_that_the_manifest_does_not_name_are_not_read(copy):
    (copy / ".DS_Store").write_bytes(b"x")
    (copy / "model.pt").write_bytes(b"x")
    (copy / "model.pt").chmod(0)
    assert open_model(str(copy)).kind == "translation"


STEPS = ("write_compact_file", "subwords.codes", "LICENSE", "model_card", "README.md", "write_manifest", "rename")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interruption_leaves_nothing(tmp_path, monkeypatch, step, moment):
    reached = []

    def interrupted(function, applies=lambda *arguments: True):
        def call(*arguments, **others):
            if not applies(*arguments):
                return function(*arguments, **others)
            reached.append(step)
            if moment == "after" and step != "rename":
                function(*arguments, **others)
            raise KeyboardInterrupt

        return call

    if step == "rename":
        ends = lambda source, target: target == str(tmp_path / "bundle")  # noqa: E731
        monkeypatch.setattr(fairseq_alone.files.os, "replace", interrupted(os.replace, ends))
    elif step == "write_compact_file":
        place = bundle.compact_export
        monkeypatch.setattr(place, step, interrupted(place.write_compact_file))
    elif hasattr(bundle, step):
        monkeypatch.setattr(bundle, step, interrupted(getattr(bundle, step)))
    else:
        monkeypatch.setattr(bundle, "_write", interrupted(bundle._write, lambda path, content: path.name == step))
    with pytest.raises(KeyboardInterrupt):
        write_bundle(translation(), str(tmp_path / "bundle"), BundleOptions(licence="MIT"))
    assert reached == [step]
    assert list(tmp_path.iterdir()) == []


def test_refusals(written, tmp_path, capsys, monkeypatch):
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").touch()
    for flags, sentence in (
        ([str(tmp_path / "there")], "there: is there already; name a new folder"),
        ([str(tmp_path / "no/bundle")], "there is no folder"),
        ([str(tmp_path / "new"), "--quantization", "int3"], "--quantization must be one of fp32, fp16, int8, int4"),
        ([str(tmp_path / "new"), "--licence", " "], "--licence: the text of the licence is empty"),
        ([str(tmp_path / "new"), "--licence", "LICX.txt"], "--licence LICX.txt: there is no such file"),
        ([str(tmp_path / "new"), "--licence", "no/LICENCE"], "--licence no/LICENCE: there is no such file"),
    ):
        # No model is read for it.
        with monkeypatch.context() as patch:
            patch.setattr("fairseq_alone.inference.opening.open_model", None)
            assert main(["bundle", str(written), *flags]) == 1
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    # A compact file does not hold its subwords.
    trained = open_model(str(written / "model.safetensors"))
    for use in (lambda: write_bundle(trained, str(tmp_path / "new"), BundleOptions()), lambda: pipeline(trained)):
        with pytest.raises(UserError, match=r"does not hold its subwords \(subword-nmt\); give --bpe-codes FILE"):
            use()


@pytest.mark.parametrize("licence", ["MIT", "Apache-2.0", "CC BY-NC 4.0", "https://opensource.org/license/mit"])
def test_names_of_licences_are_texts(written, licence, tmp_path):
    assert main(["bundle", str(written), str(tmp_path / "new"), "--licence", licence, "--quiet"]) == 0
    assert (tmp_path / "new/LICENSE").read_text() == f"{licence}\n"


def test_an_export_of_a_bundle_has_its_licence(written, tmp_path):
    assert main(["export", str(written), str(tmp_path / "new"), "--to", "fairseq", "--no-verify", "--quiet"]) == 0
    assert (tmp_path / "new/LICENSE").read_text() == "MIT\n"
