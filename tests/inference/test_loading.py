"""``fairseq_alone.load`` and the names of the package: nothing is imported before it is used."""

import pickle
import subprocess
import sys

import pytest
from conftest import ROOT, environment

import fairseq_alone
from fairseq_alone.errors import UserError


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
