"""``fairseq-alone corpus-vectors``: files that start a model as ``--embedding-init corpus`` does."""

import argparse
import json
import logging
import sys

import numpy as np
import pytest
import torch
from fairseq.data import indexed_dataset
from small_models import Task, build, dictionary

from fairseq_alone.cli import main
from fairseq_alone.models.starting import start_embeddings


def binarized(folder, target=50):
    """Two sides of random sentences; with fewer words on the target side, the dictionaries are not joined."""
    generator = torch.Generator().manual_seed(1)
    folder.mkdir()
    for side, words in (("en", 50), ("de", target)):
        prefix = folder / f"train.en-de.{side}"
        builder = indexed_dataset.make_builder(f"{prefix}.bin", impl="mmap", vocab_size=words)
        for _ in range(80):
            length = int(torch.randint(2, 8, (), generator=generator))
            # The last two words never occur.
            line = torch.randint(4, words - 2, (length,), generator=generator)
            builder.add_item(torch.cat([line, torch.tensor([2])]))
        builder.finalize(f"{prefix}.idx")
        dictionary(words).save(str(folder / f"dict.{side}.txt"))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    return {"joined": binarized(folder / "joined"), "separate": binarized(folder / "separate", target=40)}


def started(what, data, target, arch, *flags):
    task = Task(target=target)
    if target == 50:
        task.target_dictionary = task.source_dictionary
    task.cfg = argparse.Namespace(data=str(data), source_lang="en", target_lang="de")
    torch.manual_seed(1)
    model = build(arch, *flags, task=task)
    start_embeddings(model, argparse.Namespace(embedding_init=str(what)), task)
    return model.state_dict()


CODES = ["--codes-num-codebooks=3", "--codes-codebook-size=8", "--codes-free-rows=4,30x3"]


@pytest.mark.parametrize("kind", ["joined", "separate"])
@pytest.mark.parametrize(("arch", "own"), [("transformer_conventional", []), ("transformer_codes", CODES)])
def test_safetensors_start_a_model_as_the_corpus_does(kind, arch, own, folders, tmp_path, capsys):
    path = tmp_path / "vectors.safetensors"
    assert main(["corpus-vectors", str(folders[kind]), "--dim", "8", "--output", str(path), "--quiet"]) == 0
    flags = ["--tie-embeddings=all" if kind == "joined" else "--tie-embeddings=none", *own]
    models = [started(what, folders[kind], 50 if kind == "joined" else 40, arch, *flags) for what in (path, "corpus")]
    for name, value in models[0].items():
        assert torch.equal(value, models[1][name]), name
    assert "words with a vector" in capsys.readouterr().out


@pytest.mark.parametrize("ending", [".txt", ".vec"])
def test_text_starts_a_table_as_the_corpus_does(ending, folders, tmp_path, capsys):
    path = tmp_path / f"vectors{ending}"
    command = ["corpus-vectors", str(folders["joined"]), "--dim", "8", "--output", str(path), "--json"]
    assert main([*command, "--nearest", "w3", "w45"]) == 0
    header, *lines = path.read_text().splitlines()
    assert header == "45 8"  # 44 words and the end of a sentence
    assert len(lines) == 45
    facts = json.loads(capsys.readouterr().out)
    assert (facts["lines"], facts["words"], facts["dim"], facts["file"]) == (80, 45, 8, str(path))
    models = [
        started(what, folders["joined"], 50, "transformer_conventional", "--tie-embeddings=all")
        for what in (path, "corpus")
    ]
    assert torch.equal(models[0]["encoder.embed_tokens.weight"], models[1]["encoder.embed_tokens.weight"])
    vectors = {line.split()[0]: np.array(line.split()[1:], float) for line in lines}
    likeness = {
        word: vector @ vectors["w3"] / np.linalg.norm(vector) for word, vector in vectors.items() if word != "w3"
    }
    assert facts["nearest"] == {"w3": sorted(likeness, key=likeness.get)[:-6:-1], "w45": []}


def test_a_work_folder_and_settings(folders, tmp_path, capsys):
    work = tmp_path / "work"
    work.mkdir()
    (work / "prepare.settings").write_text("")
    (work / "data-bin").symlink_to(folders["joined"])
    for name, flags in (("plain", []), ("other", ["--window", "1", "--no-across", "--lines", "20", "--seed", "2"])):
        path = str(tmp_path / f"{name}.txt")
        assert main(["corpus-vectors", str(work), "--dim", "4", "--output", path, "--nearest", "w3", *flags]) == 0
    output = capsys.readouterr().out
    assert "lines read           80\n" in output
    assert "lines read           20\n" in output
    assert "nearest to w3 " in output
    assert (tmp_path / "plain.txt").read_text() != (tmp_path / "other.txt").read_text()


def test_quiet_is_silent_and_too_wide_vectors_have_a_note(folders, tmp_path, capsys, caplog):
    caplog.set_level(logging.INFO)
    command = ["corpus-vectors", str(folders["joined"]), "--output", str(tmp_path / "x.txt"), "--quiet", "--dim"]
    assert main([*command, "45"]) == 0
    assert capsys.readouterr().err == ""
    assert main([*command, "64"]) == 0
    note = "note: --dim 64 is more than the 45 words give; the last values of each vector are zeros or rounding\n"
    assert capsys.readouterr().err == note
    assert caplog.messages == []
    vectors = np.array([line.split()[1:] for line in (tmp_path / "x.txt").read_text().splitlines()[1:]], float)
    assert not vectors[:, 50:].any()


def test_a_wrong_name_is_refused_before_the_data_is_read(tmp_path, capsys):
    assert main(["corpus-vectors", str(tmp_path / "none"), "--dim", "8", "--output", "x.bin"]) == 1
    assert "--output x.bin: must end in .txt or .vec" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--dim", "0"], "--dim must be at least 1, got 0"),
        (["--lines", "-1"], "--lines must be at least 0, got -1"),
        (["--power", "2"], "--power must be greater than 0 and at most 1, got 2.0"),
        (["--singular-power", "-1"], "--singular-power must be at least 0"),
        (["--output", "x.bin"], "--output x.bin: must end in .txt or .vec"),
        (["--output", "nowhere/x.txt"], "--output nowhere/x.txt: there is no folder"),
        (["--output", "/proc/x.txt"], "--output /proc/x.txt: no file can be made in /proc"),
        (["--nearest", "unheard"], "--nearest unheard: the dictionary has no such word"),
    ],
)
def test_what_is_refused(flags, sentence, folders, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["corpus-vectors", str(folders["joined"]), "--dim", "8", "--output", "x.txt", *flags]
    assert main(command) == 1
    assert f"error: {sentence}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_two_dictionaries_need_safetensors(folders, tmp_path, capsys, monkeypatch):
    command = ["corpus-vectors", str(folders["separate"]), "--dim", "8", "--output"]
    assert main([*command, str(tmp_path / "x.txt")]) == 1
    assert "the two dictionaries may share words; give a file .safetensors" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    assert main([*command, str(tmp_path / "x.safetensors")]) == 1
    assert "needs a library: pip install 'fairseq_alone[export]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b"damaged in every way"])
def test_a_damaged_file_is_named(content, folders, tmp_path):
    from fairseq_alone.errors import UserError

    path = tmp_path / "x.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"x.safetensors: (there is no such file|is no file of word vectors)"):
        started(path, folders["joined"], 50, "transformer_conventional", "--tie-embeddings=all")
