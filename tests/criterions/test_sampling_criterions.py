"""The criterions that draw noise, on small models in this process: every family, language models and translation."""

import math

import numpy as np
import pytest
import torch
from fairseq import models, options
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY
from fairseq.criterions.cross_entropy import CrossEntropyCriterion
from fairseq.logging import metrics
from fairseq.tasks.language_modeling import LanguageModelingTask
from fairseq.tasks.translation import TranslationConfig, TranslationTask
from fairseq_training import micro_batch
from small_models import KINDS, SIZES, build, dictionary
from torch.utils._python_dispatch import TorchDispatchMode

import fairseq_alone.criterions  # noqa: F401 (registers the criterions)
from fairseq_alone.errors import UserError
from fairseq_alone.modules.mixture_proposal import MixtureProposal
from fairseq_alone.modules.noise import all_words
from fairseq_alone.modules.sampled_losses import noise_contrastive_loss

WORDS = 50
NAMES = {"sampled_softmax": "sampled", "noise_contrastive_estimation": "nce", "negative_sampling": "negative"}
LM_SIZES = {
    "lstm_lm": ("--decoder-embed-dim=8", "--decoder-hidden-size=8", "--decoder-layers=1", "--decoder-out-embed-dim=8"),
    "transformer_lm": (
        "--decoder-embed-dim=8",
        "--decoder-ffn-embed-dim=8",
        "--decoder-layers=1",
        "--decoder-attention-heads=2",
    ),
}


def task(words=WORDS):
    return TranslationTask(TranslationConfig(data="no data here"), dictionary(words), dictionary(words))


def criterion(name, words=WORDS, **settings):
    config = CRITERION_DATACLASS_REGISTRY[name](sentence_avg=False)
    for setting, value in settings.items():
        assert hasattr(config, f"{NAMES[name]}_{setting}")
        setattr(config, f"{NAMES[name]}_{setting}", value)
    return CRITERION_REGISTRY[name].build_criterion(config, task(words)).train()


def language_model(network, kind, *flags, words=WORDS):
    arch = f"{network}_{kind}" if kind else network
    sizes = [*LM_SIZES[network], *SIZES.get(kind, ()), "--dropout=0", "--tokens-per-sample=20"]
    parser = options.get_training_parser("language_modeling")
    args = options.parse_args_and_arch(parser, ["data", "--task=language_modeling", "--arch", arch, *sizes, *flags])
    return models.build_model(args, LanguageModelingTask(args, dictionary(words))).train()


def sample(seed=3):
    return micro_batch(torch.Generator().manual_seed(seed))


def language_model_sample():
    batch = sample()
    words = {"src_tokens": batch["net_input"]["prev_output_tokens"], "src_lengths": batch["net_input"]["src_lengths"]}
    return {**batch, "net_input": words}


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def assert_is_the_softmax(model, batch):
    """With all words in the place of drawn ones."""
    ours, theirs = criterion("sampled_softmax", num_samples=WORDS), CrossEntropyCriterion(task(), False)
    ours.check_model(model)
    loss, size, log = ours(model, batch)
    expected, expected_size, _ = theirs(model, batch)
    assert size == expected_size
    torch.testing.assert_close(loss, expected)
    assert log["ess"] == log["samples"] == WORDS * size
    found, wanted = gradients(model, loss), gradients(model, theirs(model, batch)[0])
    assert list(found) == list(wanted)
    for name in found:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tying", ["all", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_translation_over_every_family(kind, tying):
    assert_is_the_softmax(build(f"transformer_{kind}", "--tie-embeddings", tying).train(), sample())


@pytest.mark.parametrize("network", LM_SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_language_models_over_every_family(kind, network):
    assert_is_the_softmax(language_model(network, kind, "--tie-embeddings=decoder"), language_model_sample())


def test_fairseqs_own_language_model():
    assert_is_the_softmax(language_model("transformer_lm", ""), language_model_sample())


@pytest.mark.parametrize("name", NAMES)
def test_validation_is_fairseqs_cross_entropy(name):
    model, ours = build("transformer_alone", "--tie-embeddings=all").eval(), criterion(name).eval()
    loss, _, log = ours(model, sample())
    expected, _, expected_log = CrossEntropyCriterion(task(), False)(model, sample())
    assert torch.equal(loss, expected)
    numbers = []
    for owner, output in ((type(ours), log), (CrossEntropyCriterion, expected_log)):
        with metrics.aggregate(new_root=True) as logged:
            owner.reduce_metrics([output, output])
        numbers.append(dict(logged.get_smoothed_values()))
    assert numbers[0] == numbers[1]
    assert "ppl" in numbers[0]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_drawn_belongs_to_seed_update_and_batch(name):
    model = build("transformer_conventional", "--tie-embeddings=all")

    def loss(num_updates=3, batch=None, **settings):
        small = {"shared_samples" if name == "negative_sampling" else "num_samples": 7}
        ours = criterion(name, **small, **settings)
        ours.set_num_updates(num_updates)
        torch.rand(1)  # not of this
        return ours(model, batch or sample())[0].item()

    first = loss()
    assert loss() == first
    others = [loss(4), loss(seed=2), loss(batch={**sample(), "id": torch.tensor([9, 0, 1])})]
    assert len({first, *others}) == 4


class Sizes(TorchDispatchMode):
    """Records the shape of everything that is computed."""

    def __init__(self):
        super().__init__()
        self.shapes = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, torch.Tensor):
                self.shapes.add(tuple(value.shape))
        return result


def every_word_follows_the_next(words):
    """Bigrams as a proposal."""
    ones = np.ones(words)
    return MixtureProposal(np.arange(words + 1), np.arange(words)[::-1].copy(), ones, ones)


@pytest.mark.parametrize("name", [*NAMES, "adaptive"])
def test_alone_makes_no_tensor_of_the_whole_vocabulary(name):
    words = 1009  # no other size
    model = language_model("lstm_lm", "alone", "--tie-embeddings=decoder", words=words)
    if name == "adaptive":
        ours = criterion("sampled_softmax", words, num_samples=30, proposal="adaptive")
        ours.adaptive = every_word_follows_the_next(words)
    else:
        settings = {"shared_samples": 30} if name == "negative_sampling" else {"num_samples": 30}
        ours = criterion(name, words, **settings)
    ours.check_model(model)
    with Sizes() as seen, model.decoder.embed_tokens.once_per_update():
        ours(model, language_model_sample())[0].backward()
    assert not {shape for shape in seen.shapes if len(shape) > 1 and words in shape}
    assert any(shape[-1] == 12 for shape in seen.shapes)
    with Sizes() as seen:
        ours.eval()(model, language_model_sample())
    assert any(len(shape) > 1 and words in shape for shape in seen.shapes)


def test_training_the_adaptive_proposal_changes_neither_the_loss_nor_the_models_gradient(monkeypatch):
    model = language_model("lstm_lm", "conventional", "--tie-embeddings=decoder")
    ours = criterion("sampled_softmax", num_samples=10, proposal="adaptive")
    ours.adaptive = every_word_follows_the_next(WORDS)
    loss, size, log = ours(model, language_model_sample())
    found = gradients(model, loss)
    assert loss == log["loss"]
    assert log["bigram_weight"] / size == pytest.approx(0.5)
    assert ours.mixture.grad.abs().sum() > 0
    monkeypatch.setattr(MixtureProposal, "cross_entropy", lambda self, contexts, weights, *_: 0 * weights)
    loss, _, again = ours(model, language_model_sample())
    assert loss == again["loss"] == log["loss"]
    for name, gradient in gradients(model, loss).items():
        assert torch.equal(gradient, found[name])


def test_with_all_words_nothing_adapts():
    model = language_model("lstm_lm", "conventional", "--tie-embeddings=decoder")
    ours = criterion("sampled_softmax", num_samples=WORDS, proposal="adaptive")
    ours.adaptive = every_word_follows_the_next(WORDS)
    ours(model, language_model_sample())[0].backward()
    assert ours.mixture.grad.tolist() == [0] * len(ours.mixture)


def test_words_that_are_not_predicted_are_unknown_contexts():
    model = language_model("lstm_lm", "conventional", "--tie-embeddings=none")
    ours = criterion("sampled_softmax", num_samples=10, proposal="adaptive")
    ours.task.tgt_dict = dictionary(30)
    ours.adaptive = every_word_follows_the_next(30)
    batch = language_model_sample()
    batch["target"] = batch["target"].clamp(max=29)
    assert ours(model, batch)[0].isfinite()


def test_an_adaptive_proposal_needs_training_data():
    with pytest.raises(UserError, match="no data here: has no training data"):
        criterion("sampled_softmax", proposal="adaptive").check_model(build("transformer_conventional"))


def test_the_number_of_samples_grows_until_enough_of_them_count():
    model = build("transformer_conventional", "--tie-embeddings=all")
    numbers = []
    for least in (0, 5, 20, 1000):
        _, size, log = criterion("sampled_softmax", num_samples=4, min_effective_size=least)(model, sample())
        numbers.append(log["samples"].item() / size)
        assert log["ess"] / size >= min(least, WORDS)
    assert numbers[0] == 4
    assert numbers == sorted(numbers)
    assert numbers[2] in (32, 50)
    assert numbers[3] == WORDS


def test_mean_numbers_of_a_training_are_logged():
    model = build("transformer_conventional", "--tie-embeddings=all")
    ours = criterion("sampled_softmax", num_samples=8)
    _, size, log = ours(model, sample())
    with metrics.aggregate(new_root=True) as logged:
        type(ours).reduce_metrics([log, log])
    values = logged.get_smoothed_values()
    assert set(values) == {"loss", "ess", "samples"}
    assert values["samples"] == 8
    assert 1 <= values["ess"] <= 8
    assert values["ess"] == pytest.approx(log["ess"].item() / size, abs=1e-3)


def test_nce_is_the_loss_of_its_settings():
    """With a proposal that draws every word once, what is drawn is known."""
    model = build("transformer_conventional", "--tie-embeddings=all")
    ours = criterion("noise_contrastive_estimation", num_samples=WORDS, proposal="uniform")
    ours.noise.draw = lambda *_: all_words(WORDS)
    loss, size, log = ours(model, sample())
    rows = model.decoder.embed_tokens
    logits, targets = model(**sample()["net_input"])[0], sample()["target"]
    features = torch.linalg.lstsq(rows.weight, logits.flatten(0, 1).t()).solution.t()
    kept = targets.flatten() != 1
    expected = noise_contrastive_loss(
        *(features[kept], targets.flatten()[kept], all_words(WORDS), rows, torch.zeros(size), math.log(WORDS))
    )
    torch.testing.assert_close(loss, expected.sum(), rtol=1e-4, atol=1e-4)
    assert log["log_z"] / size == pytest.approx(math.log(WORDS))


def test_the_normalizer_of_nce():
    assert criterion("noise_contrastive_estimation").log_normalizer == pytest.approx(math.log(WORDS))
    fixed = criterion("noise_contrastive_estimation", log_normalizer=2.0)
    assert fixed.log_normalizer == 2.0
    assert not list(fixed.parameters())
    learned = criterion("noise_contrastive_estimation", log_normalizer=2.0, learn_normalizer=True)
    model = build("transformer_conventional", "--tie-embeddings=all")
    losses = [ours(model, sample())[0] for ours in (fixed, learned)]
    assert losses[0].item() == losses[1].item()
    losses[1].backward()
    assert learned.log_normalizer.grad != 0


def test_negative_sampling_says_what_it_is_not(caplog):
    criterion("negative_sampling").check_model(build("transformer_conventional"))
    assert "no language model" in caplog.text


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("sampled_softmax", {"num_samples": 0}, "--sampled-num-samples must be at least 1, got 0"),
        ("sampled_softmax", {"seed": -1}, "--sampled-seed must be at least 0, got -1"),
        ("sampled_softmax", {"power": 1.5}, "--sampled-power must be from 0 to 1, got 1.5"),
        ("sampled_softmax", {"min_effective_size": -2.0}, "--sampled-min-effective-size must be at least 0, got -2"),
        ("sampled_softmax", {"max_bigrams": 0}, "--sampled-max-bigrams must be at least 1, got 0"),
        ("noise_contrastive_estimation", {"num_samples": -3}, "--nce-num-samples must be at least 1, got -3"),
        ("noise_contrastive_estimation", {"power": float("nan")}, "--nce-power must be from 0 to 1, got nan"),
        ("noise_contrastive_estimation", {"seed": -1}, "--nce-seed must be at least 0"),
        ("noise_contrastive_estimation", {"log_normalizer": float("inf")}, "--nce-log-normalizer must be a finite"),
        ("negative_sampling", {"num_samples": 0}, "--negative-num-samples must be at least 1"),
        ("negative_sampling", {"shared_samples": 0}, "--negative-shared-samples must be at least 1"),
        ("negative_sampling", {"power": -0.5}, "--negative-power must be from 0 to 1, got -0.5"),
        ("negative_sampling", {"seed": -1}, "--negative-seed must be at least 0"),
    ],
)
def test_flags_outside_their_range(name, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        criterion(name, **settings)
