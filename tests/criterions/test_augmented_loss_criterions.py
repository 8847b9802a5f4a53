"""The criterions with the augmented loss beside those they extend, on small models in this process."""

import dataclasses
import math

import pytest
import torch
from fairseq.criterions.cross_entropy import CrossEntropyCriterion
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.logging import metrics
from small_models import Task
from small_models import build as build_model

from fairseq_alone.corpus.vector_file import read_word_vectors
from fairseq_alone.criterions.cross_entropy_with_augmented_loss import (
    CrossEntropyWithAugmentedLoss,
    CrossEntropyWithAugmentedLossConfig,
)
from fairseq_alone.criterions.label_smoothed_cross_entropy_with_augmented_loss import (
    LabelSmoothedCrossEntropyWithAugmentedLoss,
    LabelSmoothedCrossEntropyWithAugmentedLossConfig,
)
from fairseq_alone.errors import UserError
from fairseq_alone.modules.augmented_loss import augmented_loss

PAD = 1


@pytest.fixture
def task():
    return Task(source=20, target=20)


@pytest.fixture(params=["transformer", "transformer_alone"])
def model(request, task):
    torch.manual_seed(1)
    return build_model(request.param, "--share-all-embeddings", task=task)


@pytest.fixture
def sample():
    target = torch.tensor([[10, 11, 2], [12, 2, PAD]])
    net_input = {
        "src_tokens": torch.tensor([[5, 6, 7, 2], [PAD, 8, 9, 2]]),
        "src_lengths": torch.tensor([4, 3]),
        "prev_output_tokens": torch.tensor([[2, 10, 11], [2, 12, PAD]]),
    }
    return {"net_input": net_input, "target": target, "ntokens": 5}


def build(criterion, config, task, weight, temperature=2.0, **settings):
    """A criterion from its flags, as fairseq builds it; ``weight`` is --augmented-loss-weight and so on."""
    flags = {"weight": weight, "temperature": temperature}
    own = {field.name for field in dataclasses.fields(config)}
    flags.update({name: settings.pop(name) for name in list(settings) if name not in own})
    named = {f"augmented_loss_{name}": value for name, value in flags.items()}
    return criterion.build_criterion(config(sentence_avg=False, **named, **settings), task)


def label_smoothed(task, weight, **settings):
    settings = {"label_smoothing": 0.1, **settings}
    classes = (LabelSmoothedCrossEntropyWithAugmentedLoss, LabelSmoothedCrossEntropyWithAugmentedLossConfig)
    return build(*classes, task, weight, **settings)


def plain(task, weight, **settings):
    return build(CrossEntropyWithAugmentedLoss, CrossEntropyWithAugmentedLossConfig, task, weight, **settings)


PAIRS = {
    "label smoothed": (label_smoothed, lambda task: LabelSmoothedCrossEntropyCriterion(task, False, 0.1)),
    "plain": (plain, lambda task: CrossEntropyCriterion(task, False)),
}


@pytest.fixture(params=PAIRS)
def criterions(request, task):
    """A function from weight and settings to our criterion, and fairseq's own."""
    ours, theirs = PAIRS[request.param]
    return (lambda weight, **settings: ours(task, weight, **settings)), theirs(task)


@pytest.mark.parametrize("reduce", [True, False])
def test_weight_zero_is_fairseqs_loss_bit_for_bit(criterions, model, sample, reduce):
    ours, theirs = criterions
    loss, size, log = ours(0.0)(model, sample, reduce)
    expected, expected_size, expected_log = theirs(model, sample, reduce)
    assert torch.equal(loss, expected)
    assert size == expected_size
    assert all(torch.equal(torch.as_tensor(log[key]), torch.as_tensor(value)) for key, value in expected_log.items())
    if reduce:
        parameters = [p for p in model.parameters() if p.requires_grad]
        gradients = [torch.autograd.grad(value, parameters, retain_graph=True) for value in (loss, expected)]
        assert all(torch.equal(first, second) for first, second in zip(*gradients, strict=True))


def test_the_weighted_divergence_is_added(criterions, model, sample):
    ours, theirs = criterions
    loss, _, log = ours(0.5)(model, sample)
    embedding = model.decoder.embed_tokens
    matrix = embedding.matrix() if hasattr(embedding, "matrix") else embedding.weight
    logits = model(**sample["net_input"])[0].reshape(-1, matrix.size(0))
    divergence = augmented_loss(logits, sample["target"].reshape(-1), matrix, 2.0, PAD).sum()
    torch.testing.assert_close(loss, theirs(model, sample)[0] + 0.5 * 2.0 * divergence)
    torch.testing.assert_close(log["augmented_loss"], divergence.detach())
    torch.testing.assert_close(
        log["nll_loss"],
        CrossEntropyCriterion.compute_loss(ours(0.0), model, model(**sample["net_input"]), sample)[0].detach(),
    )


def test_target_gradient_changes_the_gradient_only(criterions, model, sample):
    ours, _ = criterions
    parameters = [p for p in model.parameters() if p.requires_grad]
    results = []
    for target_gradient in (False, True):
        loss, _, _ = ours(0.5, target_gradient=target_gradient)(model, sample)
        results.append((loss.detach(), torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)])))
    torch.testing.assert_close(results[0][0], results[1][0])
    assert not torch.allclose(results[0][1], results[1][1])


def test_the_ignored_prefix_is_ignored_in_both_parts(task, model, sample):
    whole = label_smoothed(task, 0.5)(model, sample, reduce=False)[0].view(2, 3)
    rest = label_smoothed(task, 0.5, ignore_prefix_size=1)(model, sample, reduce=False)[0].view(2, 2)
    torch.testing.assert_close(rest, whole[:, 1:])


def test_logged_apart_and_in_base_2(criterions, model, sample):
    ours, _ = criterions
    criterion = ours(0.5)
    _, _, log = criterion(model, sample)
    with metrics.aggregate() as numbers:
        type(criterion).reduce_metrics([log, log])
    values = numbers.get_smoothed_values()
    cross_entropy = log["nll_loss"].item() / 5 / math.log(2)
    assert values["nll_loss"] == pytest.approx(cross_entropy, abs=1e-3)
    assert values["augmented_loss"] == pytest.approx(log["augmented_loss"].item() / 5 / math.log(2), abs=1e-3)
    assert values["ppl"] == pytest.approx(2**cross_entropy, rel=1e-2)
    assert values["loss"] == pytest.approx(log["loss"].item() / 5 / math.log(2), abs=1e-3)


def test_accuracy_is_still_reported(task, model, sample):
    log = label_smoothed(task, 0.5, report_accuracy=True)(model, sample)[2]
    assert log["total"] == 5
    assert 0 <= log["n_correct"] <= 5


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"weight": -0.1}, "--augmented-loss-weight"),
        ({"weight": float("nan")}, "--augmented-loss-weight"),
        ({"weight": 0.5, "temperature": 0.0}, "--augmented-loss-temperature"),
        ({"weight": 0.5, "temperature": -1.0}, "--augmented-loss-temperature"),
        ({"weight": 0.5, "temperature_start": 1.0}, "--augmented-loss-temperature-start needs .*-temperature-updates"),
        ({"weight": 0.5, "temperature_updates": 9}, "--augmented-loss-temperature-updates needs .*-temperature-start"),
        (
            {"weight": 0.5, "temperature_start": 0.0, "temperature_updates": 9},
            "--augmented-loss-temperature-start must be a positive",
        ),
        (
            {"weight": 0.5, "temperature_start": 1.0, "temperature_updates": -9},
            "--augmented-loss-temperature-updates must be at least 0",
        ),
        ({"weight": 0.5, "target_refresh": -2}, "--augmented-loss-target-refresh must be at least 1, got -2"),
        ({"weight": 0.5, "target_decay": 1.0}, "--augmented-loss-target-decay must lie between 0 and 1"),
        (
            {"weight": 0.5, "target_refresh": 5, "target_decay": 0.9},
            "--augmented-loss-target-refresh and --augmented-loss-target-decay contradict",
        ),
        (
            {"weight": 0.5, "target_refresh": 5, "target_gradient": True},
            "--augmented-loss-target-gradient needs the current embedding, but --augmented-loss-target-refresh",
        ),
        (
            {"weight": 0.5, "target_vectors": "/no/such/file"},
            "/no/such/file: there is no such file",
        ),
    ],
)
def test_bad_values_name_their_flag(criterions, settings, flag):
    with pytest.raises(UserError, match=flag):
        criterions[0](**settings)


def test_temperature_rises_in_a_straight_line(criterions, model, sample):
    ours, _ = criterions
    criterion = ours(0.5, temperature=4.0, temperature_start=1.0, temperature_updates=6)
    assert criterion.eval().augmented_loss_temperature == 4.0  # no training: as at the end
    criterion.train()
    temperatures = []
    for updates in (None, 1, 2, 5, 6, 100):
        if updates is not None:
            criterion.set_num_updates(updates)
        temperatures.append(criterion.augmented_loss_temperature)
    assert temperatures == pytest.approx([1.0, 1.5, 2.0, 3.5, 4.0, 4.0])
    criterion.set_num_updates(2)
    loss = criterion(model, sample)[0]
    torch.testing.assert_close(loss, ours(0.5, temperature=2.0)(model, sample)[0])


def change_embedding(model):
    with torch.no_grad():
        next(model.decoder.embed_tokens.parameters()).mul_(1.5)


def current_matrix(model):
    embedding = model.decoder.embed_tokens
    return (embedding.matrix() if hasattr(embedding, "matrix") else embedding.weight).detach().clone()


def expected_divergence(model, sample, matrix):
    logits = model(**sample["net_input"])[0].reshape(-1, matrix.size(0))
    return augmented_loss(logits, sample["target"].reshape(-1), matrix, 2.0, PAD).sum()


def test_a_refreshed_target_stands_still_in_between(criterions, model, sample):
    criterion = criterions[0](0.5, target_refresh=3)
    old = current_matrix(model)
    for updates, renewed in ((0, False), (1, False), (2, False), (3, True), (4, False)):
        criterion.set_num_updates(updates)
        if renewed:
            old = current_matrix(model)
        log = criterion(model, sample)[2]
        torch.testing.assert_close(log["augmented_loss"], expected_divergence(model, sample, old))
        change_embedding(model)
    criterion.eval().set_num_updates(6)  # a validation renews nothing
    torch.testing.assert_close(criterion(model, sample)[2]["augmented_loss"], expected_divergence(model, sample, old))


def test_an_averaged_target_follows_slowly(criterions, model, sample):
    criterion = criterions[0](0.5, target_decay=0.75)
    average = current_matrix(model)
    for updates, first_micro_batch in ((0, True), (1, True), (1, False), (2, True)):
        if first_micro_batch and updates > 0:
            change_embedding(model)
            average = 0.75 * average + 0.25 * current_matrix(model)
        criterion.set_num_updates(updates)
        log = criterion(model, sample)[2]
        torch.testing.assert_close(log["augmented_loss"], expected_divergence(model, sample, average))


def test_word_vectors_as_target_space(criterions, model, sample, task, tmp_path):
    words = task.target_dictionary
    path = tmp_path / "vectors.txt"
    generator = torch.Generator().manual_seed(1)
    vectors = {word: torch.randn(3, generator=generator) for word in words.symbols[4:-2]}
    text = "".join(f"{word} {' '.join(map(repr, vector.tolist()))}\n" for word, vector in vectors.items())
    path.write_text(f"{len(vectors)} 3\nunknown 0 0 0\n{text}w0 9 9 9\n")
    for word in words.symbols[4:]:
        words.count[words.index(word)] = 1
    criterion = criterions[0](0.5, target_vectors=str(path))
    matrix = torch.zeros(len(words), 3)
    for word, vector in vectors.items():
        matrix[words.index(word)] = vector
    logits = model(**sample["net_input"])[0].reshape(-1, len(words))
    values = augmented_loss(logits, sample["target"].reshape(-1), matrix, 2.0, PAD)
    covered = torch.tensor([words[index] in vectors for index in sample["target"].flatten().tolist()])
    assert 0 < covered.sum() < 5  # the end of a sentence has no vector
    torch.testing.assert_close(criterion(model, sample)[2]["augmented_loss"], values[covered].sum())
    # They go where the criterion goes, in float32 all the same, and in no checkpoint.
    criterion.half()
    assert criterion.augmented_loss_target.vectors.dtype == torch.float32
    torch.testing.assert_close(criterion(model, sample)[2]["augmented_loss"], values[covered].sum())
    assert criterion.to("meta").augmented_loss_target.vectors.device.type == "meta"
    assert not criterion.state_dict()
    criterions[0](0.5, target_vectors=str(path), target_coverage=14 / 16)
    with pytest.raises(UserError, match="--augmented-loss-target-vectors .* covers 87.5% of the running words"):
        criterions[0](0.5, target_vectors=str(path), target_coverage=0.9)
    with pytest.raises(UserError, match="--augmented-loss-target-coverage must lie between 0 and 1"):
        criterions[0](0.5, target_vectors=str(path), target_coverage=1.5)


@pytest.mark.parametrize("text", ["\ufeff3 2\nw0 1 2\n\ufeffw1 3 4\n", "\ufeffw0 1 2\n\ufeffw1 3 4\n"])
def test_byte_order_marks_hide_no_word_vector(task, tmp_path, capsys, text):
    path = tmp_path / "vectors.txt"
    path.write_text(text, "utf-8")
    words = task.target_dictionary
    matrix, covered = read_word_vectors(str(path), words)
    assert covered.nonzero().flatten().tolist() == [words.index("w0"), words.index("w1")]
    assert matrix[covered].tolist() == [[1, 2], [3, 4]]
    assert capsys.readouterr().err == f"{path}: 2 byte order marks removed, first in line 1\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("w0 1 2\nw1 1\n", "line 2: expected a word and 2 values"),
        ("w0 1 x\n", "line 1: could not convert"),
        ("w0\n", "line 1: expected a word and its values"),
        ("other 1 2\n", "holds no vector for any word"),
        ("", "holds no vector for any word"),
    ],
)
def test_malformed_word_vectors_name_file_and_line(task, tmp_path, text, words):
    (tmp_path / "vectors.txt").write_text(text)
    with pytest.raises(UserError, match=f"vectors.txt(, |: ){words}"):
        plain(task, 0.5, target_vectors=str(tmp_path / "vectors.txt"))


def test_the_penalty_of_a_regularised_projection_is_added(criterions, task, sample):
    flags = ["--output-projection-regularization=0.15", "--criterion=cross_entropy_with_augmented_loss"]
    model = build_model("transformer_alone", *flags, task=task)
    ours, theirs = criterions
    criterion = ours(0.0)
    loss, size, log = criterion(model, sample)
    expected, _, _ = theirs(model, sample)
    penalty = 0.15 * 8**0.5  # P is the identity at first
    torch.testing.assert_close(loss, expected + 5 * penalty)
    assert size == 5
    with metrics.aggregate() as numbers:
        type(criterion).reduce_metrics([log, log])
    assert numbers.get_smoothed_values()["projection_penalty"] == pytest.approx(penalty / math.log(2), abs=1e-3)
    loss.backward()
    assert model.decoder.output_projection.square.grad.abs().sum() > 0


def test_the_trainer_tells_the_criterion_how_many_updates_were_made():
    from fairseq.trainer import Trainer

    class Criterion:
        def set_num_updates(self, num_updates):
            self.told = num_updates

    class Rest(Trainer):
        def __init__(self, criterion):
            self._criterion, self.quantizer = criterion, None

        def lr_step_update(self):
            """Nothing to schedule."""

    criterion = Criterion()
    Rest(criterion).set_num_updates(7)
    assert criterion.told == 7
    Rest(object()).set_num_updates(7)  # fairseq's own criterions are not told
