"""fairseq's trainer with the matrix built once per update, against one that builds it in every forward pass."""

import argparse
import functools

import pytest
import torch
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq_commands import run_together, succeeded
from fairseq_training import parameters, train, trainer, updates

from fairseq_alone.errors import UserError
from fairseq_alone.modules.computed_embedding import ComputedEmbedding
from fairseq_alone.seams import once_per_update

pytestmark = pytest.mark.slow

HALF = ["--fp16", "--fp16-no-flatten-grads", "--fp16-init-scale", 2]
AUGMENTED = ["--criterion=label_smoothed_cross_entropy_with_augmented_loss", "--augmented-loss-weight=0.5"]
AUGMENTED += ["--augmented-loss-temperature=2"]


def embeddings(training):
    return once_per_update.built_once_per_update(training.get_model())


def reference(*flags):
    """Every micro-batch builds the matrix, all words at once, and autograd differentiates it."""
    training = trainer(*flags, "--alone-rebuild", "forward")
    assert not embeddings(training)
    for embedding in training.get_model().modules():
        if isinstance(embedding, ComputedEmbedding):
            embedding.build_matrix = functools.partial(ComputedEmbedding.build_matrix, embedding)
    return training


def assert_same(first, second, log_difference=2e-3, **tolerance):
    """Equal parameters, and logs that agree to the third decimal."""
    (first, first_logs), (second, second_logs) = first, second
    assert len(first_logs) == len(second_logs)
    for ours, theirs in zip(first_logs, second_logs, strict=True):
        assert ours == pytest.approx(theirs, abs=log_difference)
    ours, theirs = parameters(first), parameters(second)
    assert list(ours) == list(theirs)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], msg=lambda t, name=name: f"{name}: {t}", **tolerance)


def both(flags, groups, **tolerance):
    """Train both ways, and compare."""
    trainings = [trainer(*flags), reference(*flags)]
    results = [(training, train(training, groups)) for training in trainings]
    assert_same(*results, **(tolerance or {"rtol": 1e-4, "atol": 1e-5}))
    return results[0]


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--clip-norm=0.5"],
        ["--alone-filter=real"],
        ["--alone-filter=real", "--alone-free-rows=4,5x3", "--alone-base-dim=20", "--clip-norm=0.5"],
        ["--alone-dropout=0.3", "--alone-dropout-until=5"],
        ["--checkpoint-activations"],
        ["--store-ema", "--ema-decay=0.9"],
        [*AUGMENTED, "--augmented-loss-target-gradient"],
        AUGMENTED,
    ],
    ids=lambda flags: " ".join(flags) or "plain",
)
def test_eight_updates_with_smaller_groups_between(flags):
    training, _ = both(flags, updates([4, 4, 4, 1] * 2))
    assert training.get_num_updates() == 8
    assert embeddings(training)


@pytest.mark.parametrize("tying", ["none", "decoder"])
def test_untied_embeddings_each_have_their_matrix(tying):
    training, _ = both(["--tie-embeddings", tying, "--alone-dropout=0.3"], updates([3, 1, 3]))
    assert len(embeddings(training)) == {"none": 3, "decoder": 2}[tying]
    assert all(parameter.grad is not None for parameter in training.get_model().parameters())


def test_the_matrix_is_built_once_per_update():
    training = trainer()
    (embedding,) = embeddings(training)
    builds, original = [], embedding.build_matrix
    embedding.build_matrix = lambda: builds.append(1) or original()
    train(training, updates([4, 1, 3]))
    assert len(builds) == 3
    assert not embedding.in_update


def test_fp16():
    """The other way accumulates in float16, so the two agree to rounding only."""
    both([*HALF, "--dropout=0"], updates([4, 1] * 4), rtol=0.02, atol=4e-3)


def test_fp16_is_as_close_to_float32_as_the_ordinary_way():
    groups = updates([8] * 6)
    exact = reference("--dropout=0")
    train(exact, groups)
    distances = []
    for half in (trainer(*HALF, "--dropout=0"), reference(*HALF, "--dropout=0")):
        train(half, groups)
        distances.append(
            max((parameters(half)[name] - value).abs().max().item() for name, value in parameters(exact).items())
        )
    assert distances[0] < 1.5 * distances[1] + 1e-3


@pytest.mark.parametrize("kind", [HALF, [*HALF, "--memory-efficient-fp16"]], ids=["fp16", "memory-efficient"])
def test_an_overflow_leaves_nothing_behind(kind, monkeypatch):
    """At a huge loss scale the first update overflows; the next, at a small one, is as if it had been the first."""
    monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor: tensor)  # fairseq takes every --fp16 to be on a GPU
    first, second = updates([3, 3])
    training, fresh = trainer(*kind), trainer(*kind)
    before = parameters(training)
    training.optimizer.scaler.loss_scale = 2.0**24
    training.train_step(first)
    assert training.get_num_updates() == 0
    assert training.optimizer.scaler.loss_scale < 2.0**24
    assert all(torch.equal(value, before[name]) for name, value in parameters(training).items())
    training.optimizer.scaler.loss_scale = 2
    logs = [train(one, [second]) for one in (training, fresh)]
    assert_same((training, logs[0]), (fresh, logs[1]), rtol=0, atol=1e-6)
    assert any(not torch.equal(value, before[name]) for name, value in parameters(training).items())


def test_a_gradient_that_overflows_in_the_matrix_only_is_seen(monkeypatch):
    """Infinite values in the gradient of the matrix must reach the loss scaler, not be scaled away."""
    monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor: tensor)
    training = trainer(*HALF)
    (embedding,) = embeddings(training)
    original = embedding.push_gradient

    def push_gradient():
        embedding._update._leaf.grad[5, 0] = float("inf")
        original()

    embedding.push_gradient = push_gradient
    training.train_step(updates([2])[0])
    assert training.get_num_updates() == 0


def test_amp_with_loss_scaling_and_overflow(monkeypatch):
    """fairseq repeats an update that overflowed, within the update, at half the scale."""
    groups = updates([3, 1, 3])
    forward = LabelSmoothedCrossEntropyCriterion.forward
    results = []
    for training in (trainer("--amp"), reference("--amp")):
        calls = []

        def overflowing(self, *args, calls=calls, **kwargs):
            calls.append(1)
            loss, *rest = forward(self, *args, **kwargs)
            return (loss * float("inf") if len(calls) == 2 else loss), *rest

        monkeypatch.setattr(LabelSmoothedCrossEntropyCriterion, "forward", overflowing)
        # fairseq's own scaler works on a GPU only.
        training.optimizer._grad_scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        logs = train(training, groups)
        assert len(calls) == 3 + 7
        assert training.optimizer.scaler.get_scale() == 4.0
        assert training.get_num_updates() == 3
        results.append((training, logs))
    assert_same(*results, rtol=1e-4, atol=1e-5)
    initial = parameters(trainer())
    moved = [(value - initial[name]).abs().max().item() for name, value in parameters(results[0][0]).items()]
    assert sum(step > 1e-3 for step in moved) > len(moved) / 2


def test_validation_between_updates():
    groups = updates([3, 2, 3])
    (validation,) = updates([1], seed=7)
    results, losses = [], []
    for training in (trainer(), reference()):
        logs = []
        for group in groups:
            logs += train(training, [group])
            losses.append(float(training.valid_step(validation[0])["loss"]))
        results.append((training, logs))
    assert_same(*results, rtol=1e-4, atol=1e-5)
    assert losses[:3] == pytest.approx(losses[3:], abs=2e-3)
    assert len({round(loss, 3) for loss in losses[:3]}) == 3
    undisturbed = trainer()
    assert_same(results[0], (undisturbed, train(undisturbed, groups)), rtol=0, atol=0)


def out_of_memory_at(call, monkeypatch):
    """The criterion fails at its n-th call (from 0), after the backward passes before it."""
    calls, original = [], LabelSmoothedCrossEntropyCriterion.forward

    def forward(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == call + 1:
            raise RuntimeError("CUDA out of memory (simulated)")
        return original(self, *args, **kwargs)

    monkeypatch.setattr(LabelSmoothedCrossEntropyCriterion, "forward", forward)


def test_out_of_memory_drops_the_gradient_of_its_update(monkeypatch):
    """A single process gives the update up. The next one must not contain the first two micro-batches of the last."""
    groups = updates([4, 4])
    out_of_memory_at(2, monkeypatch)
    training = trainer()
    before = parameters(training)
    assert training.train_step(groups[0]) is None
    assert all(torch.equal(value, before[name]) for name, value in parameters(training).items())
    fresh = trainer()
    logs = [train(one, groups[1:]) for one in (training, fresh)]
    assert_same((training, logs[0]), (fresh, logs[1]), rtol=0, atol=0)


def test_an_error_within_an_update_ends_it(monkeypatch, tmp_path):
    training = trainer("--save-dir", tmp_path)
    monkeypatch.setattr(LabelSmoothedCrossEntropyCriterion, "forward", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        training.train_step(updates([1])[0])
    assert not any(embedding.in_update for embedding in embeddings(training))


def test_resume(tmp_path):
    groups = updates([3, 1, 3, 2])
    whole, first, second = trainer(), trainer(), trainer()
    logs = train(whole, groups)
    train(first, groups[:2])
    state = {"train_iterator": {"epoch": 1, "iterations_in_epoch": 2}}
    first.consolidate_optimizer()
    first.save_checkpoint(str(tmp_path / "checkpoint.pt"), state)
    train(second, updates([1], seed=9))
    second.load_checkpoint(str(tmp_path / "checkpoint.pt"))
    assert second.get_num_updates() == 2
    assert_same((whole, logs[2:]), (second, train(second, groups[2:])), rtol=0, atol=1e-6)


def test_a_gradient_that_was_never_pushed_stops_training(monkeypatch):
    monkeypatch.setattr(once_per_update, "push_gradients", lambda model: None)
    with pytest.raises(UserError, match="--ddp-backend pytorch_ddp ended an update without the gradient of the embedd"):
        trainer().train_step(updates([2])[0])


def test_backends_that_are_refused(monkeypatch):
    training = trainer()
    training.cfg.distributed_training.ddp_backend = "fully_sharded"
    with pytest.raises(UserError, match="--ddp-backend fully_sharded does not work with a computed embedding"):
        training.train_step(updates([1])[0])
    from fairseq import models

    settings = argparse.Namespace(ddp_backend="slowmo")
    with pytest.raises(UserError, match="--ddp-backend slowmo does not work .* --alone-rebuild forward"):
        models.DistributedFairseqModel(settings, training.get_model(), None, torch.device("cpu"))


def test_a_model_without_such_an_embedding_is_left_alone():
    """fairseq's own Transformer trains as ever, and so does a model outside the trainer."""
    plain = trainer("--arch=transformer_factorized", "--factorized-dim=3")
    assert len(train(plain, updates([2]))) == 1
    model = trainer().get_model()
    (batch,) = updates([1])[0]
    model(**batch["net_input"])[0].logsumexp(-1).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """What each of two processes had after all cases of two_process_updates.py: by rank, by case."""
    folder = tmp_path_factory.mktemp("two")
    for done in run_together("two_process_updates", [[rank, folder] for rank in (0, 1)]):
        succeeded(done)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize(
    "case", ["legacy_ddp", "pytorch_ddp", "pytorch_ddp untied", "legacy_ddp out of memory", "free rows"]
)
def test_two_processes(two_processes, case):
    """Both ranks hold the same parameters, and those of the ordinary way; the last group is a dummy on rank 1."""
    ours, others, theirs = two_processes[0][case], two_processes[1][case], two_processes[0][f"{case}, forward"]
    assert ours["builds"] == len(ours["logs"])
    for first, second in zip(ours["logs"], theirs["logs"], strict=True):
        assert first == pytest.approx(second, abs=2e-3)
    for name, value in ours["parameters"].items():
        assert torch.equal(value, others["parameters"][name]), name
        torch.testing.assert_close(value, theirs["parameters"][name], rtol=1e-4, atol=1e-5, msg=name)


def test_ddp_waits_for_no_gradient_of_the_embedding(two_processes):
    names = [f"{side}.embed_tokens.{name}" for side in ("decoder", "encoder") for name in ("o", "w1", "w2")]
    assert two_processes[0]["pytorch_ddp"]["kept out of DDP"] == names
    assert two_processes[0]["pytorch_ddp, forward"]["kept out of DDP"] == []


def test_a_process_without_gradient_takes_part(two_processes):
    for results in two_processes:
        gradients = results["pytorch_ddp"]["one without gradient"]
        assert len(gradients) == 3
        assert all((gradient == 0.5).all() for gradient in gradients)
