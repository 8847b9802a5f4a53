import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

import pytest

RECIPE = pathlib.Path(__file__).parents[1] / "examples" / "wmt_ende"
SPLITS = ("train", "valid", "test")
DATA_BIN = {"dict.de.txt", "dict.en.txt", "train.en-de.en.idx", "valid.en-de.de.bin", "test.en-de.de.bin"}


def run(script, *arguments, **variables):
    # Nothing of the caller's shell may decide what the script does.
    names = ("PRESET", "SUBWORDS", "SOURCE_LANG", "TARGET_LANG", "MERGES", "WORKERS", "PYTHONPATH", "WMT16_MIRROR")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment.update({"PYTHON": sys.executable, "WORKERS": "1", "OMP_NUM_THREADS": "1", **variables})
    return subprocess.run(
        ["bash", str(RECIPE / script), *map(str, arguments)],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        cwd="/",
    )


def prepare(*arguments, **variables):
    return run("prepare.sh", *arguments, **variables)


def make_corpus(folder, repeats=30):
    """A tiny corpus: a few sentences, repeated with numbers so that there is something to merge."""
    folder.mkdir()
    english = ["The man's dog (a small one) sleeps.", "The woman reads the old book.", '"Yes", she said.']
    german = ["Der Hund des Mannes (ein kleiner) schläft.", "Die Frau liest das alte Buch.", "„Ja“, sagte sie."]
    for split in SPLITS:
        for suffix, sentences in (("en", english), ("de", german)):
            lines = [f"{number} {sentence}" for number in range(repeats) for sentence in sentences]
            (folder / f"{split}.{suffix}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def lines_of(path):
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def state(folder):
    """Every file below the folder with its time of change, without the lock."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """One run with subword-nmt and WMT's length cleaning, on data with an empty line, separators and a long pair."""
    base = tmp_path_factory.mktemp("prepare")
    corpus = make_corpus(base / "corpus")
    added = {
        "en": "One\u2028two three.\n\nLong, long, long, long, long, long, long.\n",
        "de": "Eins\x85zwei drei.\nx\nKurz.\n",
    }
    for suffix, text in added.items():
        with open(corpus / f"train.{suffix}", "a", encoding="utf-8", newline="") as file:
            file.write(text)
    with open(corpus / "test.en", "ab") as file:
        file.write(b"\nA last line without its ending.")
    with open(corpus / "test.de", "ab") as file:
        file.write(b"Leer.\nEine letzte Zeile ohne Zeilenende.\n")
    result = prepare(base / "work dir", corpus, PRESET="wmt16", MERGES="300")
    return base / "work dir", corpus, result


def test_subword_nmt_end_to_end(prepared):
    work, _, result = prepared
    assert result.returncode == 0, result.stderr
    assert {path.name for path in (work / "data-bin").iterdir()} >= DATA_BIN
    assert not list(work.rglob("*.part"))
    assert "93 pairs read, 1 dropped (an empty side), 92 written; dropped lines: 92" in result.stdout
    assert "train: 1 of 92 clean pairs dropped by length" in result.stdout
    assert "train: 91 pairs" in result.stdout
    assert "test: 91 pairs" in result.stdout
    entries = len(lines_of(work / "data-bin" / "dict.de.txt")) + 4
    assert f"joined vocabulary: {entries} entries" in result.stdout
    assert (work / "data-bin" / "dict.en.txt").read_bytes() == (work / "data-bin" / "dict.de.txt").read_bytes()


def test_sides_stay_parallel(prepared):
    work, _, _ = prepared
    for folder in ("clean", "tokenized", "subwords"):
        for split in SPLITS:
            assert len(lines_of(work / folder / f"{split}.en")) == len(lines_of(work / folder / f"{split}.de"))
    assert lines_of(work / "clean" / "train.en")[-2] == "One two three."
    assert lines_of(work / "clean" / "train.de")[-2] == "Eins zwei drei."
    assert lines_of(work / "subwords" / "train.de")[-1].replace("@@ ", "") == "Eins zwei drei ."


def test_reference_is_untokenised_and_tokens_can_be_joined_again(prepared):
    work, _, _ = prepared
    assert lines_of(work / "clean" / "test.de")[2] == "0 „Ja“, sagte sie."
    for lang in ("en", "de"):
        tokens = (work / "subwords" / f"test.{lang}").read_text(encoding="utf-8").replace("@@ ", "")
        assert tokens == (work / "tokenized" / f"test.{lang}").read_text(encoding="utf-8")
        text = subprocess.run(
            [sys.executable, "-m", "sacremoses", "-q", "-l", lang, "detokenize"],
            input=tokens,
            capture_output=True,
            encoding="utf-8",
            check=True,
        ).stdout
        assert text == (work / "clean" / f"test.{lang}").read_text(encoding="utf-8")


def test_second_run_changes_nothing(prepared):
    work, corpus, first = prepared
    before = state(work)
    second = prepare(work, corpus, PRESET="wmt16", MERGES="300")
    assert second.returncode == 0, second.stderr
    assert state(work) == before
    # The same report, without the messages of the steps.
    assert second.stdout in first.stdout


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"MERGES": "301"}, "MERGES=301"), ({"SUBWORDS": "sentencepiece"}, "SUBWORDS=sentencepiece")],
)
def test_other_settings_are_refused(prepared, changed, named):
    work, corpus, _ = prepared
    before = state(work)
    result = prepare(work, corpus, **{"PRESET": "wmt16", "MERGES": "300", **changed})
    assert result.returncode == 1
    assert named in result.stderr
    assert state(work) == before


def test_other_data_is_refused(prepared, tmp_path):
    work, corpus, _ = prepared
    other = shutil.copytree(corpus, tmp_path / "other")
    (other / "valid.de").write_text("Anders.\n")
    result = prepare(work, other, PRESET="wmt16", MERGES="300")
    assert result.returncode == 1
    assert "valid.de=" in result.stderr


def test_interrupted_steps_are_done_again(prepared, tmp_path):
    work, corpus, _ = prepared
    half = shutil.copytree(work, tmp_path / "half")
    whole = {name: (half / name).read_bytes() for name in ("codes", "subwords/train.en", "data-bin/test.en-de.de.bin")}
    # What a killed run leaves: parts with the beginning of their content, and no outcome.
    (half / "codes").rename(half / "codes.part")
    (half / "codes.part").write_bytes(whole["codes"][:50])
    for folder in ("subwords", "data-bin"):
        (half / folder).rename(half / f"{folder}.part")
    (half / "subwords.part" / "train.en").write_bytes(whole["subwords/train.en"][:50])
    result = prepare(half, corpus, PRESET="wmt16", MERGES="300")
    assert result.returncode == 0, result.stderr
    assert "tokenising" not in result.stdout
    assert {name: (half / name).read_bytes() for name in whole} == whole
    assert not list(half.rglob("*.part"))


def test_bad_data_is_refused_and_mended_data_is_taken_with_sentencepiece(tmp_path):
    corpus = make_corpus(tmp_path / "corpus")
    good = (corpus / "valid.de").read_bytes()
    (corpus / "valid.de").write_bytes(good.replace(b"alte", b"sch\xf6ne", 1))
    work = tmp_path / "work"
    settings = {"SUBWORDS": "sentencepiece", "MERGES": "90"}
    result = prepare(work, corpus, **settings)
    assert result.returncode == 1
    assert f"{corpus / 'valid.de'}, line 2: not UTF-8" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (work / "clean").exists()
    assert not (work / "data-bin").exists()

    (corpus / "valid.de").write_bytes(good)
    result = prepare(work, corpus, **settings)
    assert result.returncode == 0, result.stderr
    assert {path.name for path in (work / "data-bin").iterdir()} >= DATA_BIN
    assert not (work / "tokenized").exists()
    for split in SPLITS:
        for lang in ("en", "de"):
            pieces = lines_of(work / "subwords" / f"{split}.{lang}")
            text = [line.replace(" ", "").replace("▁", " ").strip() for line in pieces]
            assert text == lines_of(work / "clean" / f"{split}.{lang}")


@pytest.mark.parametrize(
    ("variables", "with_corpus", "message"),
    [
        ({}, False, "PRESET=small needs CORPUS_DIR"),
        ({"PRESET": "big"}, True, "PRESET=big is not one of"),
        ({"SUBWORDS": "words"}, True, "SUBWORDS=words is not one of"),
        ({"MERGES": "8k"}, True, "MERGES=8k is not a positive whole number"),
        ({"WORKERS": "0"}, True, "WORKERS=0 is not a positive whole number"),
        ({"PRESET": "demo"}, True, "PRESET=demo makes its own data"),
        ({"PRESET": "demo", "TARGET_LANG": "fr"}, False, "English and German only"),
        ({"TARGET_LANG": "en"}, True, "both en"),
        ({"TARGET_LANG": "fr"}, True, "train.fr: there is no such file"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_made(tmp_path, variables, with_corpus, message):
    corpus = [make_corpus(tmp_path / "corpus", 1)] if with_corpus else []
    result = prepare(tmp_path / "work", *corpus, **variables)
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.startswith("prepare.sh: error: ")
    assert not (tmp_path / "work").exists()


@pytest.fixture
def mirror(tmp_path):
    """The archives of WMT16's training data with two pairs each, and SacreBLEU's folder with the test sets."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for archive, member in (
        ("de-en.tgz", "europarl-v7.de-en"),
        ("training-parallel-commoncrawl.tgz", "commoncrawl.de-en"),
        ("training-parallel-nc-v11.tgz", "training-parallel-nc-v11/news-commentary-v11.de-en"),
    ):
        with tarfile.open(folder / archive, "w:gz") as file:
            for suffix in ("de", "en", "de.ann"):
                text = tmp_path / "text"
                text.write_text(f"{member}.{suffix} 1\n{member}.{suffix} 2\n")
                file.add(text, f"{member}.{suffix}")
    for name, pairs in (("wmt13", 3000), ("wmt14/full", 3003)):
        sets = tmp_path / "sacrebleu" / name
        sets.mkdir(parents=True)
        for field in ("src", "ref", "docid", "genre", "origlang"):
            lines = "".join(f"{field} {number}\n" for number in range(pairs))
            (sets / f"{name.replace('/', '_')}.en-de.{field}").write_text(lines)
    return folder


def download(tmp_path, mirror):
    return run(
        "download_wmt16.sh",
        tmp_path / "download",
        tmp_path / "out",
        WMT16_MIRROR=f"file://{mirror}",
        SACREBLEU=str(tmp_path / "sacrebleu"),
    )


def test_download_joins_the_corpora_and_continues_a_broken_download(tmp_path, mirror):
    whole = (mirror / "de-en.tgz").read_bytes()
    (tmp_path / "download").mkdir()
    (tmp_path / "download" / "de-en.tgz.part").write_bytes(whole[:100])
    result = download(tmp_path, mirror)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "download" / "de-en.tgz").read_bytes() == whole
    for lang in ("en", "de"):
        corpora = ("europarl-v7", "commoncrawl", "training-parallel-nc-v11/news-commentary-v11")
        expected = [f"{corpus}.de-en.{lang} {number}" for corpus in corpora for number in (1, 2)]
        assert lines_of(tmp_path / "out" / f"train.{lang}") == expected
    assert lines_of(tmp_path / "out" / "valid.en")[2999] == "src 2999"
    assert lines_of(tmp_path / "out" / "test.de")[3002] == "ref 3002"


def test_download_refuses_a_broken_archive_and_forgets_it(tmp_path, mirror):
    archive = mirror / "training-parallel-commoncrawl.tgz"
    archive.write_bytes(archive.read_bytes()[:-20])
    result = download(tmp_path, mirror)
    assert result.returncode == 1
    assert f"{archive}: not a whole archive" in result.stderr
    assert not list((tmp_path / "download").glob("*commoncrawl*"))
    assert not (tmp_path / "out" / "train.en").exists()


def test_download_without_network_says_so(tmp_path, mirror):
    for archive in mirror.iterdir():
        archive.unlink()
    result = download(tmp_path, mirror)
    assert result.returncode == 1
    assert "cannot be downloaded" in result.stderr
    assert "CORPUS_DIR" in result.stderr


def test_two_runs_in_one_folder_are_refused(tmp_path):
    if not shutil.which("flock"):
        pytest.skip("flock is not installed: prepare.sh takes no lock")
    work = tmp_path / "work"
    work.mkdir()
    with open(work / ".prepare.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = prepare(work, make_corpus(tmp_path / "corpus", 1))
    assert result.returncode == 1
    assert "another prepare.sh is running" in result.stderr
