"""``fairseq_alone.load`` and the names of the package: nothing is imported before it is used."""

import pickle
import subprocess
import sys

import pytest
from conftest import ROOT, environment, run

import fairseq_alone
from fairseq_alone.cli import main
from fairseq_alone.errors import UserError
from fairseq_alone.inference.opening import open_model


def test_importing_the_package_imports_no_library():
    code = """
import sys, fairseq_alone
assert not hasattr(fairseq_alone, "no_such_name")
try:
    from fairseq_alone import nothing
except ImportError:
    pass
fairseq_alone.load, fairseq_alone.Translator, fairseq_alone.LanguageModel, fairseq_alone.perplexity
assert not {"fairseq", "numpy", "torch"} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment())


@pytest.mark.parametrize(
    "name",
    ["TransformerAloneModel", "TransformerFactorizedModel", "TransformerLengthModel", "LSTMLMAloneModel"],
)
def test_registered_models_are_there_by_name_and_pickled_by_it(name):
    model = getattr(fairseq_alone, name)
    assert model.__name__ == name
    assert b"fairseq_alone.models.networks" in pickle.dumps(model)
    assert pickle.loads(pickle.dumps(model)) is model


def test_no_other_model_is_there():
    with pytest.raises(AttributeError, match="module 'fairseq_alone' has no attribute 'NoSuchModel'"):
        _ = fairseq_alone.NoSuchModel


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"backend": "onnx"}, "--backend must be fairseq or ctranslate2, got 'onnx'"),
        ({"quantization": "int8"}, "--quantization needs --backend ctranslate2"),
        ({"bpe_codes": "a", "sentencepiece": "b"}, "--bpe-codes contradicts --sentencepiece"),
        ({"bpe_codes": "/no/such"}, "--bpe-codes /no/such: cannot be read"),
        ({}, "/no/model: there is no such file or folder"),
    ],
)
def test_what_cannot_be_loaded_gets_a_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        fairseq_alone.load("/no/model", **options)


@pytest.mark.slow
def test_a_pickle_holds_the_path_and_loads_again_in_another_folder(data, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(trained)
    translator = fairseq_alone.load("checkpoint_last.pt", data=data)
    pickled = pickle.dumps(translator)
    assert len(pickled) < 1000
    monkeypatch.chdir(tmp_path)
    again = pickle.loads(pickled)
    assert again.path == translator.path == str(trained / "checkpoint_last.pt")
    assert again.hypotheses(["w1 w2"], max_len_b=9) == translator.hypotheses(["w1 w2"], max_len_b=9)


_WITHOUT_TORCH = """
import sys

from fairseq_alone.cli import main

status = main(["translate", sys.argv[1], "--threads", "1", "--max-len-b", "9", "w1 w2", "", "w7"])
assert "torch" not in sys.modules and "fairseq" not in sys.modules
sys.exit(status)
"""


@pytest.mark.slow
def test_a_folder_for_ctranslate2_is_used_without_torch(data, trained, tmp_path):
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    checkpoint, folder = str(trained / "checkpoint_last.pt"), tmp_path / "for_ctranslate2"
    command = ["export", checkpoint, str(folder), "--to", "ctranslate2", "--data", str(data), "--no-verify"]
    assert main([*command, "--quiet"]) == 0
    lines = ["w1 w2", "", "w7"]
    expected = fairseq_alone.load(checkpoint, data=data).translate(lines, max_len_b=9)
    assert expected[1] == ""
    translator = fairseq_alone.load(folder)
    assert translator.translate(lines, max_len_b=9) == expected
    assert pickle.loads(pickle.dumps(translator)).translate("w7", max_len_b=9) == expected[2]
    done = run([sys.executable, "-c", _WITHOUT_TORCH, str(folder)])
    assert done.stdout.splitlines() == expected
    with pytest.raises(UserError, match="--quantization int8: the numbers of .* have their type already"):
        fairseq_alone.load(folder, backend="ctranslate2", quantization="int8")
    with pytest.raises(UserError, match="is for CTranslate2, whose tensors go back into no model"):
        open_model(str(folder))


@pytest.mark.slow
def test_loading_leaves_the_root_logger_alone():
    """fairseq.tasks.text_to_speech sets it up when it is imported."""
    code = """
import logging
from fairseq_alone.loading import _same_root_logger
with _same_root_logger():
    import fairseq.tasks.text_to_speech
root = logging.getLogger()
assert (root.handlers, root.level) == ([], logging.WARNING), (root.handlers, root.level)
"""
    run([sys.executable, "-c", code])
