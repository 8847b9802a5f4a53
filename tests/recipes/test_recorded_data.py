"""prepare makes the same bytes, and says the same, as the shell scripts did."""

import hashlib
import json
from pathlib import Path

import corpora
import pytest
from served import serve_fairseq
from toy_text import text_corpus

from fairseq_alone.cli import main
from fairseq_alone.recipes.old_variables import arguments

pytestmark = pytest.mark.slow

RECORD = json.loads(Path(__file__).with_name("recorded_prepare.json").read_text())["cases"]
INPUTS = {
    "translation-subword-nmt": ("translation", corpora.awkward_corpus),
    "translation-sentencepiece": ("translation", corpora.translation_corpus),
    "translation-two-workers": ("translation", corpora.translation_corpus),
    "translation-demo": ("translation", None),
    "headlines-tsv": ("headlines", corpora.awkward_tsv_corpus),
    "headlines-parallel-sentencepiece": ("headlines", corpora.parallel_headlines),
    "headlines-namas-duc": ("headlines", corpora.namas_corpus),
    "language_model": ("language_model", text_corpus),
}


@pytest.mark.parametrize("name", RECORD)
def test_prepared_bytes_are_the_recorded_ones(name, tmp_path, capsys, monkeypatch):
    serve_fairseq(monkeypatch)
    recipe, make = INPUTS[name]
    work = tmp_path / "work"
    given = [str(work), *([str(make(tmp_path / "corpus"))] if make else [])]
    if name.endswith("duc"):
        given.append(str(corpora.duc_folder(tmp_path / "duc")))
    variables = {"WORKERS": "1", **RECORD[name]["variables"]}
    assert main(arguments(recipe, "prepare", given, variables)) == 0, capsys.readouterr().err

    def digest(path):
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]

    files = {str(path.relative_to(work)): digest(path) for path in sorted(work.rglob("*")) if path.is_file()}
    left_out = [file for file in files if file.endswith((".log", ".lock")) or file == "clean/report.txt"]
    assert {file: files[file] for file in files if file not in left_out} == RECORD[name]["files"]
    output = capsys.readouterr().out.replace(str(work), "WORK").replace(str(tmp_path), "TMP")
    assert output.splitlines() == [line.removeprefix("prepare.sh: ") for line in RECORD[name]["output"]]
