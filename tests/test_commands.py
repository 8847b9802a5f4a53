"""The real fairseq commands with this package, on small data."""

import math
import re

import pytest
from fairseq_commands import DECODING, ROOT, fairseq, generate, hypotheses, one_sentence, preprocess, train, train_log

from fairseq_alone.checkpoints import load_checkpoint


def test_generate_scores_every_sentence(data, trained):
    done = generate(data, [trained / "checkpoint_last.pt"])
    assert sorted(hypotheses(done.stdout)) == list(range(33))
    assert "BLEU4" in done.stdout


@pytest.mark.slow
def test_ensemble_differs_from_its_members(data, trained):
    first, second = trained / "checkpoint1.pt", trained / "checkpoint3.pt"
    scores = []
    for paths in ([first], [second], [first, second]):
        scores.append(re.findall(r"^H-\d+\t(\S+)", generate(data, paths).stdout, re.MULTILINE))
    assert len(scores[2]) == 33
    assert scores[2] not in (scores[0], scores[1])


@pytest.mark.slow
def test_interactive_agrees_with_generate(data, corpus, trained):
    checkpoint = trained / "checkpoint_last.pt"
    expected = hypotheses(generate(data, [checkpoint]).stdout)
    flags = ("--user-dir", "fairseq_alone", "--path", checkpoint, *DECODING, "-s", "en", "-t", "de")
    sentences = (corpus / "test.en").read_text()
    done = fairseq("interactive", data, *flags, "--buffer-size", 8, "--max-tokens", 200, standard_input=sentences)
    assert hypotheses(done.stdout) == expected


@pytest.mark.slow
def test_validate_repeats_the_loss_of_training(data, tmp_path):
    log = train(data, tmp_path, "--share-all-embeddings", "--max-epoch", 1).stdout
    during = train_log(log, "valid")[-1]
    flags = ("--user-dir", "fairseq_alone", "--path", tmp_path / "checkpoint_last.pt", "--cpu", "--max-tokens", 400)
    flags += ("--task", "translation", "-s", "en", "-t", "de")
    done = fairseq("validate", data, *flags, "--required-batch-size-multiple", 1, "--log-format", "json")
    (after,) = train_log(done.stdout + done.stderr, "valid")
    assert float(after["valid_nll_loss"]) == pytest.approx(float(during["valid_nll_loss"]), abs=2e-3)


@pytest.mark.slow
def test_from_pretrained_translates_like_generate(data, corpus, trained):
    from fairseq_alone.models.transformer_alone import TransformerAloneModel

    hub = TransformerAloneModel.from_pretrained(
        str(trained), "checkpoint_last.pt", data_name_or_path=str(data), user_dir=str(ROOT / "fairseq_alone")
    )
    sentences = (corpus / "test.en").read_text().splitlines()[:5]
    expected = hypotheses(generate(data, [trained / "checkpoint_last.pt"]).stdout)
    assert hub.translate(sentences, beam=4) == [expected[number] for number in range(5)]


REGULARIZED = ["--output-projection-regularization", 0.15]
REGULARIZED += ["--criterion", "label_smoothed_cross_entropy_with_augmented_loss", "--augmented-loss-weight", 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "tying"),
    [
        ("transformer_alone", ["--tie-embeddings", "none"]),
        ("transformer_alone", ["--share-decoder-input-output-embed"]),
        ("transformer_factorized", ["--tie-embeddings", "decoder"]),
        ("transformer_conventional", ["--tie-embeddings", "none", *REGULARIZED]),
    ],
)
def test_other_tyings_train_and_decode_with_separate_dictionaries(corpus, tmp_path, arch, tying):
    separate = preprocess(corpus, tmp_path / "separate")
    train(separate, tmp_path, *tying, "--max-update", 2, arch=arch)
    assert len(hypotheses(generate(separate, [tmp_path / "checkpoint_last.pt"]).stdout)) == 33


@pytest.mark.slow
def test_the_architecture_variants_train(data, tmp_path):
    """The named shape itself, without size flags."""
    flags = [
        "--max-update",
        1,
        "--no-save",
        "--disable-validation",
        "--optimizer",
        "adam",
        "--max-tokens",
        200,
        "--cpu",
    ]
    fairseq(
        *("train", data, "--user-dir", "fairseq_alone", "--arch", "transformer_alone_tiny", "--lr", 0.01),
        *("--share-all-embeddings", "--alone-filter", "real", "--required-batch-size-multiple", 1, *flags),
    )


@pytest.mark.slow
def test_stock_flags_keep_working(data, tmp_path):
    """A handful that touch embeddings or layers, in one training."""
    flags = ["--encoder-learned-pos", "--decoder-learned-pos", "--layernorm-embedding", "--no-scale-embedding"]
    flags += ["--encoder-normalize-before", "--decoder-normalize-before", "--activation-fn", "gelu"]
    flags += ["--encoder-layerdrop", 0.1, "--decoder-layerdrop", 0.1, "--store-ema", "--ema-decay", 0.9]
    flags += ["--share-all-embeddings", "--update-freq", 2, "--clip-norm", 0.5, "--weight-decay", 0.01]
    train(data, tmp_path, *flags, "--max-update", 2)
    assert len(hypotheses(generate(data, [tmp_path / "checkpoint_last.pt"]).stdout)) == 33


@pytest.mark.slow
def test_half_precision_trains_and_decodes(data, tmp_path):
    half = ["--fp16", "--fp16-no-flatten-grads", "--fp16-init-scale", 2]
    log = train(data, tmp_path, "--share-all-embeddings", *half, "--max-update", 4).stdout
    assert all(math.isfinite(float(line["loss"])) for line in train_log(log))
    model = load_checkpoint(tmp_path / "checkpoint_last.pt")["model"]
    assert sum(name.endswith(".w1") for name in model) == 1
    # On a CPU fairseq keeps the model in float32 at decoding unless it is told otherwise.
    assert len(hypotheses(generate(data, [tmp_path / "checkpoint_last.pt"]).stdout)) == 33


@pytest.mark.slow
def test_automatic_mixed_precision_trains(data, tmp_path):
    log = train(data, tmp_path, "--share-all-embeddings", "--amp").stdout
    assert len(train_log(log)) == 3


@pytest.mark.slow
def test_bleu_during_training_and_resume_with_its_metrics(data, tmp_path):
    flags = [
        "--share-all-embeddings",
        "--eval-bleu",
        "--eval-bleu-args",
        '{"beam": 2}',
        "--best-checkpoint-metric",
        "bleu",
    ]
    flags += ["--maximize-best-checkpoint-metric"]
    log = train(data, tmp_path, *flags, "--max-update", 3).stdout
    assert "valid_bleu" in train_log(log, "valid")[-1]
    log = train(data, tmp_path, *flags, "--max-update", 6).stdout
    assert [line["num_updates"] for line in train_log(log)] == ["4", "5", "6"]


def test_refusals_at_the_command_line(data, corpus, tmp_path):
    one_sentence(
        train(data, tmp_path, "--share-all-embeddings", "--alone-codebook-size", 1, check=False),
        r"error: --alone-codebook-size is too small: 1 \*\* 8",
    )
    criterion = ["--criterion", "label_smoothed_cross_entropy_with_augmented_loss"]
    one_sentence(
        train(data, tmp_path, *criterion, "--augmented-loss-temperature-start", 1, check=False),
        "error: --augmented-loss-temperature-start needs --augmented-loss-temperature-updates N",
    )
    separate = preprocess(corpus, tmp_path / "separate", "--nwordssrc", 30)
    one_sentence(train(separate, tmp_path, "--share-all-embeddings", check=False), "--joined-dictionary")
    assert not list(tmp_path.glob("*.pt"))
