"""prepare for translation: the steps, what is refused, and going on after an interruption."""

import fcntl
import shutil
import tarfile

import corpora
import pytest
from sacremoses import MosesDetokenizer
from served import serve_fairseq

from fairseq_alone.cli import main
from fairseq_alone.recipes.length_filter import filter_by_length

pytestmark = pytest.mark.slow

SPLITS = corpora.SPLITS
DATA_BIN = {"dict.de.txt", "dict.en.txt", "train.en-de.en.idx", "valid.en-de.de.bin", "test.en-de.de.bin"}


@pytest.fixture
def prepare(monkeypatch, capsys):
    """Run the command; what it printed is in ``capsys``."""
    serve_fairseq(monkeypatch)

    def run(*arguments, **options):
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        return main(["prepare", *map(str, arguments), "--workers", "1", *words])

    return run


def lines_of(path):
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def state(folder):
    """Every file below the folder with its time of change, without the lock."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


SETTINGS = {"preset": "wmt16", "merges": 300}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """One run with subword-nmt and WMT's length cleaning, on data with an empty line, separators and a long pair."""
    base = tmp_path_factory.mktemp("prepare")
    corpus = corpora.awkward_corpus(base / "corpus")
    with pytest.MonkeyPatch.context() as patch:
        serve_fairseq(patch)
        words = ["--preset", "wmt16", "--merges", "300", "--workers", "1"]
        assert main(["prepare", str(base / "work dir"), str(corpus), *words]) == 0
    return base / "work dir", corpus


def test_subword_nmt_end_to_end(prepared, prepare, capsys):
    work, corpus = prepared
    assert {path.name for path in (work / "data-bin").iterdir()} >= DATA_BIN
    assert not list(work.rglob("*.part"))
    before = state(work)
    # A second run changes nothing, and reports the same.
    assert prepare(work, corpus, **SETTINGS) == 0
    assert state(work) == before
    output = capsys.readouterr().out
    assert "93 pairs read, 1 dropped (an empty side), 92 written; dropped lines: 92" in output
    assert "train: 1 of 92 clean pairs dropped by length" in output
    assert "train: 91 pairs" in output
    assert "test: 91 pairs" in output
    entries = len(lines_of(work / "data-bin" / "dict.de.txt")) + 4
    assert f"joined vocabulary: {entries} entries" in output
    assert (work / "data-bin" / "dict.en.txt").read_bytes() == (work / "data-bin" / "dict.de.txt").read_bytes()


def test_sides_stay_parallel(prepared):
    work, _ = prepared
    for folder in ("clean", "tokenized", "subwords"):
        for split in SPLITS:
            assert len(lines_of(work / folder / f"{split}.en")) == len(lines_of(work / folder / f"{split}.de"))
    assert lines_of(work / "clean" / "train.en")[-2] == "One two three."
    assert lines_of(work / "clean" / "train.de")[-2] == "Eins zwei drei."
    assert lines_of(work / "subwords" / "train.de")[-1].replace("@@ ", "") == "Eins zwei drei ."


def test_reference_is_untokenised_and_tokens_can_be_joined_again(prepared):
    work, _ = prepared
    assert lines_of(work / "clean" / "test.de")[2] == "0 „Ja“, sagte sie."
    for lang in ("en", "de"):
        tokens = (work / "subwords" / f"test.{lang}").read_text(encoding="utf-8").replace("@@ ", "")
        assert tokens == (work / "tokenized" / f"test.{lang}").read_text(encoding="utf-8")
        detokenizer = MosesDetokenizer(lang=lang)
        text = [detokenizer.detokenize(line.split()) for line in tokens.split("\n")[:-1]]
        assert text == lines_of(work / "clean" / f"test.{lang}")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"merges": "301"}, "was --merges=300; now --merges=301"),
        ({"subwords": "sentencepiece"}, "--subwords=sentencepiece"),
    ],
)
def test_other_settings_are_refused(prepared, prepare, capsys, changed, named):
    work, corpus = prepared
    before = state(work)
    assert prepare(work, corpus, **SETTINGS | changed) == 1
    assert named in capsys.readouterr().err
    assert state(work) == before


def test_other_data_is_refused_by_name(prepared, prepare, capsys, tmp_path):
    work, corpus = prepared
    other = shutil.copytree(corpus, tmp_path / "other")
    assert prepare(work, other, **SETTINGS) == 0  # the same text from another folder
    (other / "valid.de").write_text("Anders.\n")
    assert prepare(work, other, **SETTINGS) == 1
    assert "with other settings or data (valid.de is not the file it was);" in capsys.readouterr().err


def test_interrupted_steps_are_done_again(prepared, prepare, capsys, tmp_path):
    work, corpus = prepared
    half = shutil.copytree(work, tmp_path / "half")
    whole = {name: (half / name).read_bytes() for name in ("codes", "subwords/train.en", "data-bin/test.en-de.de.bin")}
    # What a killed run leaves: parts with the beginning of their content, and no outcome.
    (half / "codes").rename(half / "codes.part")
    (half / "codes.part").write_bytes(whole["codes"][:50])
    for folder in ("subwords", "data-bin"):
        (half / folder).rename(half / f"{folder}.part")
    (half / "subwords.part" / "train.en").write_bytes(whole["subwords/train.en"][:50])
    assert prepare(half, corpus, **SETTINGS) == 0
    assert "tokenising" not in capsys.readouterr().out
    assert {name: (half / name).read_bytes() for name in whole} == whole
    assert not list(half.rglob("*.part"))


def test_data_without_settings_is_refused(prepared, prepare, capsys, tmp_path):
    work, corpus = prepared
    half = shutil.copytree(work, tmp_path / "half")
    (half / "prepare.settings").unlink()
    assert prepare(half, corpus, **SETTINGS) == 1
    assert "has data but no prepare.settings" in capsys.readouterr().err


def test_bad_data_is_refused_and_mended_data_is_taken_with_sentencepiece(prepare, capsys, tmp_path):
    corpus = corpora.translation_corpus(tmp_path / "corpus")
    good = (corpus / "valid.de").read_bytes()
    (corpus / "valid.de").write_bytes(good.replace(b"alte", b"sch\xf6ne", 1))
    work = tmp_path / "work"
    settings = {"subwords": "sentencepiece", "merges": 90}
    assert prepare(work, corpus, **settings) == 1
    assert f"{corpus / 'valid.de'}, line 2: not UTF-8" in capsys.readouterr().err
    assert not work.exists()
    # A folder that was there before stays, without the step that was refused.
    work.mkdir()
    assert prepare(work, corpus, **settings) == 1
    assert [path.name for path in work.iterdir() if path.name in ("clean", "prepare.settings", "data-bin")] == []

    (corpus / "valid.de").write_bytes(good)
    assert prepare(work, corpus, **settings) == 0
    assert {path.name for path in (work / "data-bin").iterdir()} >= DATA_BIN
    assert not (work / "tokenized").exists()
    for split in SPLITS:
        for lang in ("en", "de"):
            pieces = lines_of(work / "subwords" / f"{split}.{lang}")
            text = [line.replace(" ", "").replace("▁", " ").strip() for line in pieces]
            assert text == lines_of(work / "clean" / f"{split}.{lang}")


def test_too_many_pieces_are_refused_with_both_files(prepare, capsys, tmp_path):
    corpus = corpora.translation_corpus(tmp_path / "corpus", 2)
    assert prepare(tmp_path / "work", corpus, subwords="sentencepiece", merges=9000) == 1
    assert "SentencePiece cannot learn --merges 9000 pieces from clean/train.en and" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "with_corpus", "message"),
    [
        ({}, False, "--preset small needs a CORPUS"),
        ({"preset": "big"}, True, "--preset must be one of wmt16, small, demo in the recipe translation, got 'big'"),
        ({"subwords": "words"}, True, "--subwords must be subword-nmt or sentencepiece, got 'words'"),
        ({"merges": "8k"}, True, "--merges must be a positive whole number, got '8k'"),
        ({"workers": "0"}, True, "--workers must be a positive whole number, got '0'"),
        ({"preset": "demo"}, True, "--preset demo makes its own data"),
        ({"preset": "demo", "target_lang": "fr"}, False, "English and German only"),
        ({"target_lang": "en"}, True, "both en"),
        ({"target_lang": "fr"}, True, "train.fr: there is no such file"),
        ({"units": "characters"}, True, "--units does not belong to the recipe translation"),
        ({"hold_out": "5"}, True, "--hold-out belongs to two parallel files"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_made(prepare, capsys, tmp_path, options, with_corpus, message):
    corpus = [corpora.translation_corpus(tmp_path / "corpus", 1)] if with_corpus else []
    assert prepare(tmp_path / "work", *corpus, **options) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("fairseq-alone prepare: error: ")
    assert message in line
    assert not (tmp_path / "work").exists()


def test_dry_run_prints_the_settings_and_makes_nothing(capsys, tmp_path):
    corpus = corpora.translation_corpus(tmp_path / "corpus", 1)
    assert main(["prepare", str(tmp_path / "work"), str(corpus), "--dry-run"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("hardware: one core: an epoch of 29,000 sentence pairs takes 2.5 minutes")
    assert "PRESET=small\nSUBWORDS=subword-nmt\nSOURCE_LANG=en\nTARGET_LANG=de\nMERGES=8000\ntrain.en=" in output
    assert not (tmp_path / "work").exists()


def test_two_runs_in_one_folder_are_refused(prepare, capsys, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    with open(work / ".prepare.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert prepare(work, corpora.translation_corpus(tmp_path / "corpus", 1)) == 1
    assert f"another fairseq-alone prepare is running in {work}" in capsys.readouterr().err


def test_two_parallel_files_are_held_out_from(prepare, capsys, tmp_path):
    sentences = [f"sentence number {number}" for number in range(60)]
    sentences[20] = "sentence number 0"  # the source of a held-out pair once more, with another target
    for lang in ("nl", "fy"):
        lines = [f"{text} {lang} {number}" if lang == "fy" else text for number, text in enumerate(sentences)]
        lines[30] = lines[30] if lang == "nl" else ""
        (tmp_path / f"text.{lang}").write_text("\n".join(lines) + "\n")
    files = [tmp_path / "text.nl", tmp_path / "text.fy"]
    work = tmp_path / "work"
    assert prepare(work, *files, hold_out=5, merges=20) == 0
    assert "held out 5 pairs each for valid and test; 1 more left out of train" in capsys.readouterr().out
    sets = {}
    for split in SPLITS:
        sides = [lines_of(work / f"clean/{split}.{lang}") for lang in ("nl", "fy")]
        sets[split] = list(zip(*sides, strict=True))
    assert [len(sets[split]) for split in SPLITS] == [48, 5, 5]
    assert not {source for source, _ in sets["train"]} & {source for name in SPLITS[1:] for source, _ in sets[name]}
    assert len({pair for pairs in sets.values() for pair in pairs}) == 58
    settings = (work / "prepare.settings").read_text()
    assert "SOURCE_LANG=nl\nTARGET_LANG=fy\nMERGES=20\ntext.nl=" in settings
    assert settings.endswith("HOLD_OUT=5\n")

    files[1].write_text("changed\n")
    assert prepare(work, *files, hold_out=5, merges=20) == 1
    assert "text.fy is not the file it was" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (("text.en", "text.de"), {}, "have 3 pairs, too few to hold out 2 x 1000; give --hold-out a smaller number"),
        (("text.en", "text.fr"), {}, "text.fr: there is no such file"),
        (("text.en", "text"), {}, "text: its name must end in .LANGUAGE"),
        (("text.en", "text.de"), {"target_lang": "fr"}, "text.de ends in .de, but the flag says fr"),
        (("text.en", "short.de"), {}, "short.de has 1: they must be parallel"),
        (("text.en", "text.de", "text"), {}, "CORPUS is a folder or two parallel files, got 3 names"),
    ],
)
def test_bad_parallel_files_are_refused(prepare, capsys, tmp_path, names, options, message):
    for name, lines in (("text.en", 3), ("text.de", 3), ("text", 3), ("short.de", 1)):
        (tmp_path / name).write_text("a b c\n" * lines)
    assert prepare(tmp_path / "work", *(tmp_path / name for name in names), **options) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


def test_length_filter_keeps_pairs_within_its_bounds(tmp_path):
    pairs = [(1, 1), (2, 3), (3, 2), (2, 4), (0, 1), (4, 4), (5, 5)]
    source, target = tmp_path / "s", tmp_path / "t"
    for path, side in ((source, 0), (target, 1)):
        path.write_text("".join(" ".join(["w"] * pair[side]) + "\n" for pair in pairs))
    assert filter_by_length(source, target, longest=4, ratio=1.5) == (
        "train: 3 of 7 clean pairs dropped by length (1 to 4 subwords, ratio 1.5)"
    )
    kept = [
        (len(one.split()), len(other.split())) for one, other in zip(lines_of(source), lines_of(target), strict=True)
    ]
    assert kept == [(1, 1), (2, 3), (3, 2), (4, 4)]


@pytest.fixture
def mirror(tmp_path, monkeypatch):
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
    monkeypatch.setenv("SACREBLEU", str(tmp_path / "sacrebleu"))
    return folder


def download(tmp_path, mirror):
    folders = [str(tmp_path / "download"), str(tmp_path / "out")]
    return main(["download-wmt16", *folders, "--mirror", f"file://{mirror}"])


def test_download_joins_the_corpora_and_continues_a_broken_download(tmp_path, mirror):
    whole = (mirror / "de-en.tgz").read_bytes()
    (tmp_path / "download").mkdir()
    (tmp_path / "download" / "de-en.tgz.part").write_bytes(whole[:100])
    assert download(tmp_path, mirror) == 0
    assert (tmp_path / "download" / "de-en.tgz").read_bytes() == whole
    for lang in ("en", "de"):
        names = ("europarl-v7", "commoncrawl", "training-parallel-nc-v11/news-commentary-v11")
        expected = [f"{corpus}.de-en.{lang} {number}" for corpus in names for number in (1, 2)]
        assert lines_of(tmp_path / "out" / f"train.{lang}") == expected
    assert lines_of(tmp_path / "out" / "valid.en")[2999] == "src 2999"
    assert lines_of(tmp_path / "out" / "test.de")[3002] == "ref 3002"


def test_download_refuses_a_broken_archive_and_forgets_it(tmp_path, mirror, capsys):
    archive = mirror / "training-parallel-commoncrawl.tgz"
    archive.write_bytes(archive.read_bytes()[:-20])
    assert download(tmp_path, mirror) == 1
    assert f"{archive}: not a whole archive" in capsys.readouterr().err
    assert not list((tmp_path / "download").glob("*commoncrawl*"))
    assert not (tmp_path / "out" / "train.en").exists()


def test_download_without_network_says_so(tmp_path, mirror, capsys):
    for archive in mirror.iterdir():
        archive.unlink()
    assert download(tmp_path, mirror) == 1
    errors = capsys.readouterr().err
    assert "cannot be downloaded" in errors
    assert "CORPUS" in errors
