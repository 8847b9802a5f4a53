"""The models of word vectors, by hand and over every family; the criterions that train them."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fairseq import options
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY
from small_models import KINDS, SIZES, dictionary

import fairseq_alone.criterions  # noqa: F401 (registers the criterions)
from fairseq_alone.corpus.windows import WindowKind
from fairseq_alone.criterions.batch_generator import batch_generator
from fairseq_alone.errors import UserError
from fairseq_alone.models.families import FAMILIES
from fairseq_alone.modules.window_losses import band
from fairseq_alone.tasks.word_vectors import WordVectorsTask
from fairseq_alone.tasks.word_windows import Sentences, Symbols, WordWindows

NETWORKS = ("nnlm", "cw", "cbow", "skip_gram")
WORDS, PAD, END, UNKNOWN = 50, 1, 2, 3
TEXT = np.random.default_rng(1).integers(4, WORDS, 60).astype(np.int32)
TEXT[[11, 24, 25, 40, 59]] = END


def parse(arch, *flags):
    parser = options.get_training_parser("language_modeling")
    size = ["--decoder-embed-dim=8", *(["--window=2"] if not arch.startswith("lstm") else [])]
    if arch.startswith("cw"):
        size.append("--criterion=window_ranking")
    return options.parse_args_and_arch(parser, ["data", "--task=word_vectors", "--arch", arch, *size, *flags])


def build(arch, *flags):
    """A model and its task; seeded."""
    torch.manual_seed(1)
    args = parse(arch, *flags)
    task = WordVectorsTask(args, dictionary(WORDS))
    return task.build_model(args).train(), task


def criterion(name, task, **settings):
    config = CRITERION_DATACLASS_REGISTRY[name]()
    if hasattr(config, "sentence_avg"):
        config.sentence_avg = False
    for setting, value in settings.items():
        assert hasattr(config, setting)
        setattr(config, setting, value)
    found = CRITERION_REGISTRY[name].build_criterion(config, task).train()
    # Noise by these counts, not by those of a dictionary that was never counted.
    task.target_dictionary.count[4:] = range(1, WORDS - 3)
    return found


def batch(model, length=7):
    symbols = Symbols(PAD, END, UNKNOWN)
    kind = model.windows
    assert isinstance(kind, WindowKind)
    kept = np.ones(WORDS) if kind.drawn else None
    return WordWindows(Sentences(TEXT, True), kind, kept, 100, length, symbols, 1)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_family_trains_in_every_network(network, kind):
    model, task = build(network if kind == "conventional" else f"{network}_{kind}", *SIZES.get(kind, ()))
    assert type(model.decoder.embed_tokens) is type(FAMILIES[kind].build(model_flags(network, kind), words(), 8, 0))
    name = {"nnlm": "cross_entropy", "cw": "window_ranking"}.get(network, "negative_sampling")
    loss, size, log = criterion(name, task)(model, batch(model))
    loss.backward()
    assert size == log["ntokens"] > 20
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    loaded, _ = build(network if kind == "conventional" else f"{network}_{kind}", *SIZES.get(kind, ()))
    for parameter in loaded.parameters():
        parameter.data.add_(1.0)
    loaded.load_state_dict(model.state_dict())
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), loaded.parameters(), strict=True))


def model_flags(network, kind):
    return parse(network if kind == "conventional" else f"{network}_{kind}", *SIZES.get(kind, ()))


def words():
    return dictionary(WORDS)


@pytest.mark.parametrize("direct", [True, False])
def test_nnlm_by_hand(direct):
    flags = ["--nnlm-hidden-dim=6", "--window=3", *(["--nnlm-direct"] if direct else [])]
    model, _ = build("nnlm", *flags)
    decoder = model.eval().decoder
    text = torch.tensor([[7, 9, 4, 8], [5, 5, 6, 30]])
    scores, _ = model(text)
    table, output = decoder.embed_tokens.matrix(), decoder.output_projection.weight
    for row in range(2):
        for place in range(4):
            before = ([END, END, *text[row].tolist()])[place : place + 3]
            x = torch.cat([table[word] for word in before]) * 8**0.5
            features = torch.tanh(decoder.hidden.weight @ x + decoder.hidden.bias)
            if direct:
                features = features + decoder.direct.weight @ x
            torch.testing.assert_close(scores[row, place], output @ features, rtol=1e-4, atol=1e-5)


def test_cw_by_hand():
    model, task = build("cw", "--cw-hidden-dim=6")
    decoder = model.decoder
    sample = batch(model)
    text, targets = sample["net_input"]["src_tokens"], sample["target"]
    wrong = torch.randint(4, WORDS, (*targets.shape, 3), generator=torch.Generator().manual_seed(2))
    scores, corrupted = model(text, corrupted=wrong)
    table = decoder.embed_tokens.matrix()

    def score(window):
        x = torch.cat([table[word] for word in window])
        return (decoder.score.weight @ F.hardtanh(decoder.hidden.weight @ x + decoder.hidden.bias)).item()

    for row, place in ((0, 0), (0, 5), (3, 2)):
        window = text[row, place : place + 5].tolist()
        assert scores[row, place].item() == pytest.approx(score(window), abs=1e-5)
        for index in range(3):
            window[2] = wrong[row, place, index]
            assert corrupted[row, place, index].item() == pytest.approx(score(window), abs=1e-5)
    made = criterion("window_ranking", task, ranking_margin=0.5, ranking_num_samples=3)
    loss, size, log = made(model, sample)
    assert size == (TEXT != END).sum()
    drawn = made.wrong_words.independent(wrong.numel(), batch_generator(1, 0, sample)).view(wrong.shape)
    scores, corrupted = model(text, corrupted=drawn)
    hinges, told = 0.0, 0.0
    for row, place in (targets != model.decoder.dictionary.pad()).nonzero().tolist():
        for index in range(3):
            hinges += max(0.0, 0.5 - float(scores[row, place]) + float(corrupted[row, place, index])) / 3
            told += float(scores[row, place] > corrupted[row, place, index]) / 3
    assert float(loss) == pytest.approx(hinges, rel=1e-4)
    assert float(log["told_apart"]) == pytest.approx(told, rel=1e-4)


def test_cw_begins_where_the_context_counts():
    """Hard tanh cuts a third of the values, as of a standard normal; in a linear layer only the middle would count."""
    model, _ = build("cw", "--decoder-embed-dim=40", "--cw-hidden-dim=200", "--window=5")
    decoder = model.decoder
    text = torch.randint(4, WORDS, (20, 30), generator=torch.Generator().manual_seed(1))
    windows = decoder.embed_tokens(text).unfold(1, 11, 1).transpose(2, 3).flatten(2)
    assert decoder.hidden(windows).std().item() == pytest.approx(1.0, abs=0.1)


def test_wrong_words_are_those_of_windows():
    """With power 1, a word is as often wrong as it is right: its count after subsampling."""
    _, task = build("cw", "--window-subsample=0.01")
    made = criterion("window_ranking", task, ranking_power=1.0)
    counts = np.array([0] * 4 + list(range(1, WORDS - 3)), dtype=float)
    ratio = 0.01 * counts.sum() / counts[4:]
    expected = counts[4:] * np.minimum(1.0, np.sqrt(ratio) + ratio)
    assert expected[-1] < counts[-1]
    drawn = made.wrong_words.independent(200_000, torch.Generator().manual_seed(1)).numpy()
    found = np.bincount(drawn, minlength=WORDS) / len(drawn)
    assert found[:4].sum() == 0.0
    assert found[4:] == pytest.approx(expected / expected.sum(), abs=0.002)
    whole = build("cw")[1]
    criterion("window_ranking", whole)
    assert whole.window_counts().tolist() == counts.tolist()


def plain_negative_sampling(model, sample, noise, negatives):
    """A loop over what a batch predicts."""
    net_input = sample["net_input"]
    table, output = model.decoder.embed_tokens.matrix(), model.decoder.output_projection.weight
    text, total = net_input["src_tokens"], 0.0
    windows = band(net_input["left"], net_input["right"], 2)
    for row, place in np.ndindex(*net_input["left"].shape):
        around = text[row, windows[row, place]].tolist()
        centre = int(text[row, place + 2])
        if not around:
            continue
        if model.windows.predicted.value == "around":
            predicted = [(table[centre], word) for word in around]
        else:
            predicted = [(table[around].mean(0), centre)]
        for features, target in predicted:
            total = total - F.logsigmoid(features @ output[target])
            for word in noise[row].tolist():
                if word != target:
                    total = total - negatives / noise.size(1) * F.logsigmoid(-features @ output[word])
    return total


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("network", ["cbow", "skip_gram"])
def test_negative_sampling_by_a_loop(network, tied):
    model, task = build(network, *(["--tie-embeddings=decoder"] if tied else []))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    loss_of = criterion("negative_sampling", task, negative_num_samples=3, negative_row_samples=4)
    sample = batch(model)
    loss, size, _ = loss_of(model, sample)
    generator = batch_generator(1, 0, sample)
    noise = loss_of.words.draw_rows(len(sample["net_input"]["src_tokens"]), 4, generator)
    assert noise.min() >= 4
    assert float(loss) == pytest.approx(float(plain_negative_sampling(model, sample, noise, 3)), rel=1e-4)
    loss_of.set_num_updates(1)
    assert float(loss_of(model, sample)[0]) != float(loss)
    # Validation has the same noise whenever it is.
    assert float(loss_of.eval()(model.eval(), sample)[0]) == pytest.approx(float(loss), rel=1e-5)
    assert size == (sample["target"] != PAD).sum()


@pytest.mark.parametrize("network", ["cbow", "skip_gram"])
@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("cross_entropy", ()),
        ("output_layer_loss", ()),
        ("output_layer_loss", ("--output-layer=hierarchical", "--hierarchical-tree=balanced")),
        ("noise_contrastive_estimation", ()),
        ("sampled_softmax", ()),
    ],
)
def test_other_losses_have_the_same_targets(network, name, flags):
    """In validation all of them are the cross-entropy of what is predicted, by a loop over it."""
    model, task = build(network, *flags)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    sample = batch(model)
    loss_of = criterion(name, task)
    loss_of(model, sample)[0].backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())
    with torch.no_grad():
        loss, size, _ = loss_of.eval()(model.eval(), sample)
        scores = model(**sample["net_input"])[0].log_softmax(-1)
        expected = -sum(
            scores[tuple(place)][sample["target"][tuple(place)]] for place in (sample["target"] != PAD).nonzero()
        )
    assert float(loss) == pytest.approx(float(expected), rel=1e-4)
    assert size == sample["ntokens"]


def test_tables_start_as_in_word2vec_and_tied_ones_are_one():
    model, _ = build("skip_gram")
    table, output = model.decoder.embed_tokens.weight, model.decoder.output_embedding.weight
    assert 0 < table.abs().max() <= 0.5 / 8
    assert (output == 0).all()
    assert (table[PAD] == 0).all()
    tied, _ = build("skip_gram", "--tie-embeddings=decoder")
    tied.decoder.embed_tokens.weight.data.fill_(2.0)
    assert (tied.decoder.output_projection.weight == 2.0).all()


def test_gradients_of_tables_are_sparse_where_the_optimizer_goes_by_rows():
    for flags, sparse in (
        ((), False),
        (("--optimizer=adam_rows",), True),
        (("--optimizer=adam_rows", "--fp16"), False),
    ):
        model, task = build("skip_gram", *flags)
        criterion("negative_sampling", task)(model, batch(model))[0].backward()
        assert [p.grad.is_sparse for p in model.parameters()] == [sparse, sparse]
        assert math.isfinite(sum(float(p.grad.norm()) for p in model.parameters()))


@pytest.mark.parametrize(
    ("arch", "flags", "sentence"),
    [
        ("skip_gram", ["--window=0"], "--window must be at least 1, got 0"),
        ("cbow", ["--decoder-embed-dim=0"], "--decoder-embed-dim must be at least 1"),
        ("nnlm", ["--nnlm-hidden-dim=3", "--tie-embeddings=decoder"], "--nnlm-hidden-dim 3 differs"),
        ("nnlm", ["--dropout=1"], "--dropout must be at least 0 and less than 1"),
        ("nnlm", ["--window-subsample=0.1"], "--window-subsample needs --arch skip_gram, cbow or cw"),
        ("cw", ["--cw-hidden-dim=-1"], "--cw-hidden-dim must be at least 1"),
        ("cw", ["--criterion=cross_entropy"], "--arch cw needs --criterion window_ranking"),
    ],
)
def test_refusals_name_the_flag(arch, flags, sentence):
    args = parse(arch, *flags)
    task = WordVectorsTask(args, dictionary(WORDS))
    with pytest.raises(UserError, match=sentence):
        task.build_model(args)


def test_other_tasks_and_models_are_refused():
    model, task = build("skip_gram")
    with pytest.raises(UserError, match="--arch skip_gram needs --task word_vectors"):
        model(torch.tensor([[4, 5]]))
    with pytest.raises(UserError, match="--arch cw needs --task word_vectors"):
        build("cw")[0](torch.tensor([[4, 5]]))
    args = parse("lstm_lm_alone", "--decoder-layers=1", "--alone-inter-dim=4")
    with pytest.raises(UserError, match="--task word_vectors needs --arch nnlm, cw, cbow or skip_gram"):
        task.build_model(args)
    with pytest.raises(UserError, match="--criterion window_ranking needs --arch cw"):
        criterion("window_ranking", task).check_model(model)
