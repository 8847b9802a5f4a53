"""Folders for CTranslate2 that are opened without torch, by several threads, and damaged ones."""

import json
import pickle
import shutil
import sys
import threading

import pytest
from fairseq_commands import run
from toy_trained import toy_trained

from fairseq_alone.errors import UserError
from fairseq_alone.export.ctranslate2_export import write
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.inference.backend import Search
from fairseq_alone.inference.ctranslate2_backend import open_ctranslate2, open_ctranslate2_scorer
from fairseq_alone.inference.ctranslate2_folder import is_ctranslate2_folder
from fairseq_alone.inference.trained_model import TextSettings

pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")

SOURCES = ["w1 w2 w3", "w4", "w9 w9 w2 w14 w1 w5 w3", "w7 w1", "w2 w8 w8"]
SEARCH = Search(beam=3, lenpen=1.0, sentences=2, max_len_a=0.0, max_len_b=6, nbest=2)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("translation")
    trained = toy_trained("transformer_alone")
    trained.text = TextSettings("en", "de", subwords="subword-nmt", subword_model=b"#version: 0.2\na b</w>\n")
    write(trained, folder, ExportOptions())
    return folder


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("language_model")
    write(toy_trained("transformer_lm"), folder, ExportOptions())
    return folder


@pytest.fixture
def copied(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "copy")


def backend(folder):
    return open_ctranslate2(str(folder), threads=1)[2]


def test_progress_nbest_and_order(exported):
    done = []
    found = backend(exported).decode(SOURCES, SEARCH, done.append)
    assert done == [2, 2, 1]
    assert [len(best) for best in found] == [2] * 5
    assert all(one.score >= other.score for one, other in found)
    # Each alone gives the same, in the order that was asked for.
    alone = [backend(exported).decode([source], SEARCH)[0][0].units for source in SOURCES]
    assert [best[0].units for best in found] == alone
    assert backend(exported).decode([], SEARCH) == []


def test_symbols_in_the_source_are_words(exported):
    found = backend(exported).decode(["w1 <blank>", "w1 never-seen"], SEARCH)
    assert found[0] == found[1]


def test_several_threads_and_processes(exported):
    one = backend(exported)
    expected = one.decode(SOURCES, SEARCH)
    found = [None] * 4

    def decode(number):
        found[number] = one.decode(SOURCES, SEARCH)

    threads = [threading.Thread(target=decode, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
    assert pickle.loads(pickle.dumps(one)).decode(SOURCES, SEARCH) == expected


def test_neither_torch_nor_fairseq_is_needed(exported):
    code = """
import sys
sys.modules["torch"] = sys.modules["fairseq"] = None
from fairseq_alone.inference.backend import Search
from fairseq_alone.inference.ctranslate2_backend import open_ctranslate2
text, decoding, backend = open_ctranslate2(sys.argv[1], threads=1)
print(text.source_lang, backend.decode(["w1 w2 w3"], Search(3, 1.0, 2, 0.0, 6))[0][0].units)
"""
    units = backend(exported).decode(SOURCES[:1], SEARCH)[0][0].units
    assert run([sys.executable, "-c", code, exported]).stdout == f"en {units}\n"


def test_what_a_folder_is(exported, language_model, tmp_path):
    assert is_ctranslate2_folder(str(exported))
    assert not is_ctranslate2_folder(str(tmp_path))
    (tmp_path / "fairseq_alone.json").write_text('{"target": "other"}')
    assert not is_ctranslate2_folder(str(tmp_path))
    with pytest.raises(UserError, match="is not of a folder that export --to ctranslate2 wrote"):
        open_ctranslate2(str(tmp_path))
    with pytest.raises(UserError, match="is a language model, which scores text and translates none"):
        open_ctranslate2(str(language_model))
    with pytest.raises(UserError, match="is no language model; it translates"):
        open_ctranslate2_scorer(str(exported))


@pytest.mark.parametrize("name", ["model.bin", "config.json", "shared_vocabulary.json", "subwords.codes"])
def test_a_damaged_file_is_named(name, copied):
    path = copied / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"copy/{name}: is damaged or was changed"):
        open_ctranslate2(str(copied))
    path.unlink()
    with pytest.raises(UserError, match=f"copy/{name}: is missing; export the model again"):
        open_ctranslate2(str(copied))


def test_damaged_foreign_and_newer_settings(copied):
    path = copied / "fairseq_alone.json"
    values = json.loads(path.read_text())
    for change, words in (
        ({"format": 2}, "fairseq_alone.json: has format 2, and this version knows 1"),
        ({"format": None}, "has format None, and this version knows 1"),
        ({"decoding": 5}, "fairseq_alone.json: is damaged"),
        ({"text": {}}, "fairseq_alone.json: is damaged"),
        ({"decoding": {"beams": 5}}, "fairseq_alone.json: is damaged"),
    ):
        path.write_text(json.dumps({**values, **change}))
        with pytest.raises(UserError, match=words):
            open_ctranslate2(str(copied))
    path.write_text("{")
    with pytest.raises(UserError, match="fairseq_alone.json: is damaged"):
        open_ctranslate2(str(copied))
    path.write_text("[]")
    with pytest.raises(UserError, match="fairseq_alone.json: is damaged"):
        open_ctranslate2(str(copied))
    path.unlink()
    with pytest.raises(UserError, match="has no fairseq_alone.json; is it a folder that export --to ctranslate2 wrote"):
        open_ctranslate2(str(copied))


def test_the_readme_may_be_edited(copied):
    (copied / "README.md").write_text("Mine.")
    backend(copied)


def test_a_device_that_is_not_there(exported):
    with pytest.raises(UserError, match="CTranslate2 cannot load it on nowhere"):
        open_ctranslate2(str(exported), device="nowhere")
