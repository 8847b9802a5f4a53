"""The criterions with distillation beside those they extend, on small models in this process."""

import copy
import math

import pytest
import torch
from fairseq.criterions.cross_entropy import CrossEntropyCriterion
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.logging import metrics
from toy_checkpoints import toy_model, write_checkpoint
from toy_trained import toy_trained

from fairseq_alone.criterions.cross_entropy_with_distillation import (
    CrossEntropyWithDistillation,
    CrossEntropyWithDistillationConfig,
)
from fairseq_alone.criterions.distillation_teacher import DistillationTeacher
from fairseq_alone.criterions.label_smoothed_cross_entropy_with_distillation import (
    LabelSmoothedCrossEntropyWithDistillation,
    LabelSmoothedCrossEntropyWithDistillationConfig,
)
from fairseq_alone.errors import UserError
from fairseq_alone.modules.distillation import distillation_loss

PAD = 1
# Dropout: a teacher that is not in evaluation mode answers otherwise each time.
TEACHER = {"arch": "transformer", "seed": 5, "dropout": 0.5}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("teacher") / "teacher.pt", **TEACHER)


@pytest.fixture
def student():
    model, _, task = toy_model("transformer_factorized", dropout=0.0)
    return model.train(), task


@pytest.fixture
def sample():
    target = torch.tensor([[10, 11, 2], [12, 2, PAD]])
    net_input = {
        "src_tokens": torch.tensor([[5, 6, 7, 2], [PAD, 8, 9, 2]]),
        "src_lengths": torch.tensor([4, 3]),
        "prev_output_tokens": torch.tensor([[2, 10, 11], [2, 12, PAD]]),
    }
    return {"net_input": net_input, "target": target, "ntokens": 5}


def named(settings):
    return {f"distillation_{name}": value for name, value in settings.items()}


def label_smoothed(task, ignore_prefix_size=0, **settings):
    config = LabelSmoothedCrossEntropyWithDistillationConfig(
        sentence_avg=False, label_smoothing=0.1, ignore_prefix_size=ignore_prefix_size, **named(settings)
    )
    return LabelSmoothedCrossEntropyWithDistillation.build_criterion(config, task)


def plain(task, **settings):
    config = CrossEntropyWithDistillationConfig(sentence_avg=False, **named(settings))
    return CrossEntropyWithDistillation.build_criterion(config, task)


@pytest.fixture(params=["label smoothed", "plain"])
def pair(request):
    """Builds ours, and fairseq's."""
    if request.param == "plain":
        return plain, lambda task: CrossEntropyCriterion(task, False)
    return label_smoothed, lambda task: LabelSmoothedCrossEntropyCriterion(task, False, 0.1)


@pytest.mark.parametrize("reduce", [True, False])
def test_the_loss_is_what_the_formula_says(pair, teacher, student, sample, reduce):
    (ours, theirs), (model, task) = pair, student
    loss, size, log = ours(task, teacher=teacher, weight=0.3, temperature=2.0)(model, sample, reduce)
    expected, expected_size, expected_log = theirs(task)(model, sample, reduce)
    answers = toy_model(**TEACHER)[0].eval()(**sample["net_input"])[0].view(6, -1)
    logits, targets = model(**sample["net_input"])[0].view(6, -1), sample["target"].view(-1)
    divergence = distillation_loss(logits, answers, 2.0, targets, PAD)
    divergence = divergence.sum() if reduce else divergence
    torch.testing.assert_close(loss, 0.7 * expected + 0.3 * divergence.view_as(expected))
    assert size == expected_size
    torch.testing.assert_close(log["distillation_loss"], divergence.detach())
    torch.testing.assert_close(log["nll_loss"], expected_log.get("nll_loss", expected_log["loss"]))


def test_weight_one_of_ones_own_teacher_is_zero(pair, sample, tmp_path):
    model, _, task = toy_model(**{**TEACHER, "dropout": 0.0})
    path = write_checkpoint(tmp_path / "own.pt", **TEACHER)
    loss, _, _ = pair[0](task, teacher=path, weight=1.0)(model.train(), sample)
    assert loss.item() == pytest.approx(0, abs=1e-5)


def test_weight_zero_and_validation_are_fairseqs_loss_bit_for_bit(pair, student, sample):
    (ours, theirs), (model, task) = pair, student
    expected = theirs(task)(model, sample)[0]
    for criterion in (ours(task, weight=0.0), ours(task, teacher="not there any more").eval()):
        loss, _, log = criterion(model, sample)
        assert torch.equal(loss, expected)
        assert "distillation_loss" not in log


def test_the_teacher_is_no_part_of_the_criterion(pair, teacher, student, sample):
    """Its parameters would be trained, wrapped for several workers, and saved."""
    model, task = student
    criterion = pair[0](task, teacher=teacher)
    loss, _, _ = criterion(model, sample)
    assert not list(criterion.parameters())
    assert not criterion.state_dict()
    loss.backward()
    assert all(p.grad is None and not p.requires_grad for p in criterion.teacher._model.parameters())
    criterion.train()
    assert not criterion.teacher._model.training
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_the_teacher_is_read_once_and_draws_nothing(teacher, student, sample, monkeypatch):
    model, task = student
    criterion = label_smoothed(task, teacher=teacher)
    state = torch.get_rng_state()
    criterion.check_model(model)
    assert torch.equal(torch.get_rng_state(), state)
    monkeypatch.setattr("fairseq.checkpoint_utils.load_checkpoint_to_cpu", None)
    assert torch.equal(criterion(model, sample)[0], criterion(model, sample)[0])


def test_the_teacher_takes_the_type_of_the_student(teacher, student, sample):
    model, task = student
    criterion = label_smoothed(task, teacher=teacher)
    single = criterion(model, sample)[0]
    double = criterion(model.double(), sample)[0]
    assert double.dtype == torch.float64
    assert next(criterion.teacher._model.parameters()).dtype == torch.float64
    torch.testing.assert_close(double.float(), single)


def test_the_ignored_prefix_is_ignored_in_both_parts(teacher, student, sample):
    model, task = student
    whole = label_smoothed(task, teacher=teacher)(model, sample, reduce=False)[0].view(2, 3)
    rest = label_smoothed(task, 1, teacher=teacher)(model, sample, reduce=False)[0].view(2, 2)
    torch.testing.assert_close(rest, whole[:, 1:])


def test_logged_apart_and_in_base_2(pair, teacher, student, sample):
    model, task = student
    criterion = pair[0](task, teacher=teacher)
    log = criterion(model, sample)[2]
    with metrics.aggregate() as numbers:
        type(criterion).reduce_metrics([log, log])
    values = numbers.get_smoothed_values()
    for name in ("nll_loss", "distillation_loss", "loss"):
        assert values[name] == pytest.approx(log[name].item() / 5 / math.log(2), abs=1e-3)
    assert values["ppl"] == pytest.approx(2 ** values["nll_loss"], rel=1e-2)


def test_a_teacher_with_a_state_goes_on_with_it_and_begins_anew_after_a_resume(caplog):
    trained = toy_trained("lstm_lm_conventional")

    def read():
        teacher = DistillationTeacher("teacher.pt", trained.task)
        teacher._model = copy.deepcopy(trained.model)
        return teacher

    teacher, model = read(), trained.model
    words = torch.tensor([[5, 6, 7, 8, 9, 10]])
    pieces = [{"src_tokens": words[:, :3], "first_piece": True}, {"src_tokens": words[:, 3:], "first_piece": False}]
    whole = teacher.logits(model, {"src_tokens": words, "first_piece": True})
    parts = [teacher.logits(model, piece) for piece in pieces]
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    # A training that goes on in the middle of an epoch.
    resumed = read().logits(model, pieces[1])
    torch.testing.assert_close(resumed, teacher.logits(model, {**pieces[1], "first_piece": True}))
    assert "teacher.pt begins with an empty state" in caplog.text


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"teacher": "x", "weight": 1.5}, "--distillation-weight must be from 0 to 1, got 1.5"),
        ({"teacher": "x", "weight": float("nan")}, "--distillation-weight must be"),
        ({"teacher": "x", "temperature": 0.0}, "--distillation-temperature must be a positive number, got 0.0"),
        ({}, "--distillation-teacher CHECKPOINT is missing"),
    ],
)
def test_flags_outside_their_range(pair, student, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        pair[0](student[1], **settings)


def test_a_teacher_that_is_missing_or_of_another_vocabulary_is_refused_before_the_training(student, tmp_path):
    model, task = student
    with pytest.raises(UserError, match=r"none\.pt: there is no such checkpoint"):
        plain(task, teacher=str(tmp_path / "none.pt")).check_model(model)
    larger = write_checkpoint(tmp_path / "larger.pt", **TEACHER, vocabulary=21)
    with pytest.raises(UserError, match=r"larger\.pt: does not fit this data; a teacher has the same vocabulary"):
        plain(task, teacher=larger).check_model(model)


def test_other_words_are_refused_where_the_teachers_dictionary_is_still_there(student, tmp_path):
    model, task = student
    task.target_dictionary.save(str(tmp_path / "dict.en.txt"))
    task.target_dictionary.save(str(tmp_path / "dict.de.txt"))

    def with_data(checkpoint):
        checkpoint["cfg"]["task"].update(data=str(tmp_path), source_lang="en", target_lang="de")

    path = write_checkpoint(tmp_path / "teacher.pt", **TEACHER, change=with_data)
    plain(task, teacher=path).check_model(model)
    words = (tmp_path / "dict.de.txt").read_text().replace("w3 ", "other ")
    (tmp_path / "dict.de.txt").write_text(words)
    with pytest.raises(UserError, match=r"dict\.de\.txt, which are not those of this data"):
        plain(task, teacher=path).check_model(model)


def test_an_adaptive_output_layer_is_refused(teacher, student):
    model, task = student
    model.decoder.adaptive_softmax = object()
    with pytest.raises(UserError, match="--adaptive-softmax-cutoff does not work with distillation"):
        plain(task, teacher=teacher).check_model(model)
