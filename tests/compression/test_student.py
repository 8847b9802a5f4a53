"""A student has the teacher's network, and of its embeddings what fits."""

import argparse
import re

import pytest
import torch
from toy_trained import toy_trained

import fairseq_alone.models  # noqa: F401 (registers the architectures)
from fairseq_alone.cli import compress
from fairseq_alone.compression.flags import model_flags, task_flags
from fairseq_alone.compression.student import frequencies, make_student, share_settings, write_student
from fairseq_alone.errors import UserError
from fairseq_alone.export.stock import matrix_of
from fairseq_alone.inference.checkpoint_source import read_checkpoint
from fairseq_alone.models.families import FAMILIES

REGULARIZED = ("--output-projection-regularization=0.1", "--criterion=cross_entropy_with_augmented_loss")
TEACHERS = {
    "stock": ("transformer", "--share-all-embeddings"),
    "stock, untied": ("transformer",),
    "stock, pre-norm": ("transformer", "--share-decoder-input-output-embed", "--encoder-normalize-before"),
    "table": ("transformer_conventional", "--tie-embeddings=all", "--no-scale-embedding", "--activation-fn=gelu"),
    "learned positions": ("transformer_alone", "--tie-embeddings=decoder", "--decoder-learned-pos"),
    "square": ("transformer_alone", *REGULARIZED),
    "headlines": ("transformer_alone_duc", "--length-encoding=lrpe", "--share-all-embeddings"),
    "stock language model": ("transformer_lm", "--share-decoder-input-output-embed"),
    "stock language model, pre-norm, untied": ("transformer_lm_gpt",),
    "language model": ("transformer_lm_alone", "--tie-embeddings=decoder"),
    "LSTM": ("lstm_lm_factorized", "--tie-embeddings=decoder"),
    "LSTM, untied": ("lstm_lm_conventional", "--variational-dropout"),
}


@torch.no_grad()
def scores(trained):
    words = torch.tensor([[5, 6, 7, 9, 2], [8, 12, 4, 10, 2]])
    if trained.kind == "language_model":
        return trained.model(words)[0]
    # Padding has another row in tables, whose output is not compared.
    return trained.model(words, torch.tensor([5, 5]), words.roll(1, 1))[0]


QUICK = ("stock", "square", "headlines", "language model")


def teachers(*names):
    """Parameters of a test: those that are not quick are left out of the daily round."""
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


@pytest.fixture
def teacher(request):
    arch, *flags = TEACHERS[request.param]
    return toy_trained(arch, *flags, task="headline_generation" if "duc" in arch else None)


@pytest.mark.parametrize("teacher", teachers(*TEACHERS), indirect=True)
def test_a_table_says_what_the_teacher_says(teacher, tmp_path):
    """So the network, how it is tied, and all settings that change what it computes are the teacher's."""
    student = make_student(teacher, FAMILIES["conventional"], {})
    torch.testing.assert_close(scores(student.trained), scores(teacher), rtol=1e-5, atol=1e-6)
    assert set(student.explained.values()) == {1.0}


@pytest.mark.slow
@pytest.mark.parametrize("teacher", ["stock", "stock, untied", "headlines", "language model", "LSTM"], indirect=True)
@pytest.mark.parametrize("family", ["codes", "factorized"])
def test_another_embedding_in_the_same_network(teacher, family):
    settings = {
        "codes": {"codes_num_codebooks": 2, "codes_codebook_size": 5, "codes_free_rows": "5,14x2"},
        "factorized": {"factorized_dim": 4},
    }
    student = make_student(teacher, FAMILIES[family], settings[family])
    assert student.trained.architecture.endswith(family) or f"_{family}_" in student.trained.architecture
    own, others = student.trained.model.state_dict(), teacher.model.state_dict()
    network = [name for name in others if "embed_tokens" not in name and "output" not in name]
    assert len(network) >= 10
    assert all(torch.equal(own[name], others[name]) for name in network)
    assert all(0.3 < share < 1 for share in student.explained.values())
    matrix = matrix_of(teacher.model.decoder.embed_tokens)
    distance = (matrix_of(student.trained.model.decoder.embed_tokens) - matrix)[4:].square().mean()
    assert distance < 0.6 * matrix[4:].square().mean()


@pytest.mark.parametrize("teacher", ["stock, untied"], indirect=True)
def test_each_of_several_embeddings_starts_with_its_own(teacher):
    student = make_student(teacher, FAMILIES["factorized"], {"factorized_dim": 7})
    assert list(student.explained) == ["encoder.embed_tokens", "decoder.embed_tokens", "decoder.output_embedding"]
    torch.testing.assert_close(scores(student.trained), scores(teacher), atol=1.0, rtol=0.5)
    assert all(share > 0.8 for share in student.explained.values())


@pytest.mark.parametrize("teacher", ["stock", "language model"], indirect=True)
def test_the_checkpoint_is_one_of_fairseqs(teacher, tmp_path):
    student = make_student(teacher, FAMILIES["factorized"], {"factorized_dim": 4})
    write_student(student, str(tmp_path / "student.pt"))
    names = ["dict.txt"] if teacher.kind == "language_model" else ["dict.en.txt", "dict.de.txt"]
    for name in names:
        teacher.target_dictionary.save(str(tmp_path / name))
    read = read_checkpoint(str(tmp_path / "student.pt"), str(tmp_path))
    assert torch.equal(scores(read), scores(student.trained))
    again = make_student(teacher, FAMILIES["factorized"], {"factorized_dim": 4}, written=str(tmp_path / "student.pt"))
    assert torch.equal(scores(again.trained), scores(student.trained))
    assert again.flags == student.flags


@pytest.mark.parametrize("teacher", ["stock"], indirect=True)
@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("alone", {"alone_inter_dim": 12}),
        ("tensor_product", {"tensor_rank": 3}),
        ("codes", {"codes_num_codebooks": 2, "codes_codebook_size": 5}),
        ("factorized", {"factorized_dim": 4}),
    ],
)
def test_what_the_process_has_drawn_changes_no_student(teacher, family, settings):
    """The fit of a network begins with random values, and each process with another seed."""
    students = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        students.append(make_student(teacher, FAMILIES[family], settings).trained.model.state_dict())
        assert torch.initial_seed() == seed
    for name, tensor in students[0].items():
        assert torch.equal(tensor, students[1][name]), name


def test_a_teacher_that_has_no_network_of_ours_is_refused():
    with pytest.raises(UserError, match="its network is lstm_lm"):
        make_student(toy_trained("lstm_lm"), FAMILIES["factorized"], {"factorized_dim": 4})


def test_a_share_that_cannot_be_is_refused():
    with pytest.raises(UserError, match=r"--share 0.9 with --family codes: share must be greater than 0 and at most"):
        share_settings(toy_trained("transformer"), FAMILIES["codes"], 0.9)


def test_flags_of_settings():
    task = {"_name": "translation", "source_lang": "en", "left_pad_source": False, "left_pad_target": False}
    assert task_flags(task) == ["--task", "translation", "--source-lang=en", "--left-pad-source"]
    settings = {"dropout": 0.3, "share_all_embeddings": True, "no_scale_embedding": False, "embedding_init": "corpus"}
    settings |= {"alone_share": 0.5, "unknown": 1, "encoder_embed_path": "file"}
    assert model_flags("transformer_codes", settings) == ["--dropout=0.3", "--share-all-embeddings"]


def test_help_lists_every_family():
    # Written by hand, as help must not import torch.
    parser = argparse.ArgumentParser()
    compress.add_arguments(parser)
    (text,) = (action.help for action in parser._actions if action.dest == "family")
    assert set(re.findall(r"[a-z_]+", text)) >= set(FAMILIES)


def test_the_end_of_a_sentence_is_frequent():
    dictionary = toy_trained("transformer").target_dictionary
    dictionary.count[7] = 99
    counts = frequencies(dictionary)
    assert counts[dictionary.eos()] == counts[7] == 99
    assert counts[dictionary.pad()] == 1
