"""The real fairseq commands with this package, on small data."""

import json
import math
import re
import shlex
import shutil
import sys

import pytest
import torch
from conftest import ROOT, fairseq, preprocess, run, train, train_flags, write_corpus

from fairseq_alone.checkpoints import load_checkpoint

DECODING = ("--beam", 4, "--cpu", "--required-batch-size-multiple", 1, "--num-workers", 0)


def generate(data, paths, *flags, check=True, user_dir="fairseq_alone"):
    path = ":".join(map(str, paths))
    return fairseq("generate", data, "--user-dir", user_dir, "--path", path, *DECODING, *flags, check=check)


def hypotheses(output: str) -> dict[int, str]:
    return {int(line.split("\t")[0][2:]): line.split("\t", 2)[2] for line in output.splitlines() if line[:2] == "H-"}


def train_log(output: str, name: str = "train_inner") -> list[dict]:
    """Numbers that fairseq logged, as JSON; at least one line."""
    lines = [json.loads(line) for line in re.findall(rf"\| {name} \| ({{.*}})", output)]
    assert lines, output
    return lines


def assert_same_parameters(first, second, **tolerance):
    """Two checkpoints hold the same model."""
    first, second = load_checkpoint(first)["model"], load_checkpoint(second)["model"]
    assert list(first) == list(second)
    for name in first:
        torch.testing.assert_close(
            first[name], second[name], msg=lambda text, name=name: f"{name}: {text}", **tolerance
        )


def test_generate_scores_every_sentence(data, trained):
    done = generate(data, [trained / "checkpoint_last.pt"])
    assert sorted(hypotheses(done.stdout)) == list(range(33))
    assert "BLEU4" in done.stdout


def test_ensemble_differs_from_its_members(data, trained):
    first, second = trained / "checkpoint1.pt", trained / "checkpoint3.pt"
    scores = []
    for paths in ([first], [second], [first, second]):
        scores.append(re.findall(r"^H-\d+\t(\S+)", generate(data, paths).stdout, re.MULTILINE))
    assert len(scores[2]) == 33
    assert scores[2] not in (scores[0], scores[1])


def test_interactive_agrees_with_generate(data, corpus, trained):
    checkpoint = trained / "checkpoint_last.pt"
    expected = hypotheses(generate(data, [checkpoint]).stdout)
    flags = ("--user-dir", "fairseq_alone", "--path", checkpoint, "--beam", 4, "--cpu", "-s", "en", "-t", "de")
    sentences = (corpus / "test.en").read_text()
    done = fairseq("interactive", data, *flags, "--buffer-size", 8, "--max-tokens", 200, standard_input=sentences)
    assert hypotheses(done.stdout) == expected


def test_validate_repeats_the_loss_of_training(data, tmp_path):
    log = train(data, tmp_path, "--share-all-embeddings", "--max-epoch", 1).stdout
    during = train_log(log, "valid")[-1]
    flags = ("--user-dir", "fairseq_alone", "--path", tmp_path / "checkpoint_last.pt", "--cpu", "--max-tokens", 400)
    flags += ("--task", "translation", "-s", "en", "-t", "de")
    done = fairseq("validate", data, *flags, "--required-batch-size-multiple", 1, "--log-format", "json")
    (after,) = train_log(done.stdout + done.stderr, "valid")
    assert float(after["valid_nll_loss"]) == pytest.approx(float(during["valid_nll_loss"]), abs=2e-3)


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


def test_stock_flags_keep_working(data, tmp_path):
    """A handful that touch embeddings or layers, in one training."""
    flags = ["--encoder-learned-pos", "--decoder-learned-pos", "--layernorm-embedding", "--no-scale-embedding"]
    flags += ["--encoder-normalize-before", "--decoder-normalize-before", "--activation-fn", "gelu"]
    flags += ["--encoder-layerdrop", 0.1, "--decoder-layerdrop", 0.1, "--store-ema", "--ema-decay", 0.9]
    flags += ["--share-all-embeddings", "--update-freq", 2, "--clip-norm", 0.5, "--weight-decay", 0.01]
    train(data, tmp_path, *flags, "--max-update", 2)
    assert len(hypotheses(generate(data, [tmp_path / "checkpoint_last.pt"]).stdout)) == 33


def test_half_precision_trains_and_decodes(data, tmp_path):
    half = ["--fp16", "--fp16-no-flatten-grads", "--fp16-init-scale", 2]
    log = train(data, tmp_path, "--share-all-embeddings", *half, "--max-update", 4).stdout
    assert all(math.isfinite(float(line["loss"])) for line in train_log(log))
    model = load_checkpoint(tmp_path / "checkpoint_last.pt")["model"]
    assert sum(name.endswith(".w1") for name in model) == 1
    # On a CPU fairseq keeps the model in float32 at decoding unless it is told otherwise.
    assert len(hypotheses(generate(data, [tmp_path / "checkpoint_last.pt"]).stdout)) == 33


def test_automatic_mixed_precision_trains(data, tmp_path):
    log = train(data, tmp_path, "--share-all-embeddings", "--amp").stdout
    assert len(train_log(log)) == 3


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


def test_resume_goes_on_exactly(data, tmp_path):
    """Six updates at once, or three and three: the same parameters."""
    flags = ["--share-all-embeddings", "--alone-dropout", 0.1, "--alone-dropout-until", 5]
    train(data, tmp_path / "whole", *flags, "--max-update", 6)
    train(data, tmp_path / "parts", *flags, "--max-update", 3)
    assert load_checkpoint(tmp_path / "parts/checkpoint_last.pt")["optimizer_history"][-1]["num_updates"] == 3
    train(data, tmp_path / "parts", *flags, "--max-update", 6)
    assert_same_parameters(
        tmp_path / "whole/checkpoint_last.pt", tmp_path / "parts/checkpoint_last.pt", rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(
    "precision", [[], ["--fp16", "--fp16-no-flatten-grads", "--fp16-init-scale", 2]], ids=["float32", "fp16"]
)
def test_free_rows_train_resume_and_decode(data, tmp_path, precision):
    flags = ["--share-all-embeddings", "--alone-free-rows", "10,20x3", *precision]
    train(data, tmp_path / "parts", *flags, "--max-update", 3)
    train(data, tmp_path / "parts", *flags, "--max-update", 6)
    checkpoints = [tmp_path / folder / "checkpoint_last.pt" for folder in ("whole", "parts")]
    if not precision:  # a resumed run starts from rounded values, as fairseq saves a half precision model
        train(data, tmp_path / "whole", *flags, "--max-update", 6)
        assert_same_parameters(*checkpoints, rtol=0, atol=1e-6)
    trained_names = [name for name in load_checkpoint(checkpoints[1])["model"] if ".free." in name]
    assert [name.split(".free.")[1] for name in trained_names] == [
        "bands.0.rows",
        "bands.1.rows",
        "bands.1.projection",
    ]
    assert len(hypotheses(generate(data, checkpoints[1:]).stdout)) == 33


def test_same_command_same_seed_same_parameters(data, trained, tmp_path):
    train(data, tmp_path, "--share-all-embeddings", "--max-update", 12, "--max-epoch", 3)
    assert_same_parameters(trained / "checkpoint_last.pt", tmp_path / "checkpoint_last.pt", rtol=0, atol=0)


def two_processes(data, folder, *flags):
    """fairseq-train as two CPU processes that really join (rank 1 may not write)."""
    script = folder / "worker.sh"
    folder.mkdir(exist_ok=True)
    flags += ("--distributed-backend", "gloo", "--distributed-world-size", 2, "--distributed-init-method", "env://")
    flags += ("--distributed-no-spawn", "--device-id", 0, "--ddp-backend", "legacy_ddp")
    command = [sys.executable, "-m", "fairseq_cli.train", *map(str, train_flags(data, folder, *flags))]
    script.write_text(f'#!/usr/bin/env bash\nexec {shlex.join(command)} --distributed-rank "$RANK"\n')
    script.chmod(0o755)
    launcher = [command[0], "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "0"]
    launcher += ["--rdzv_backend", "c10d", "--rdzv_endpoint", "localhost:0", "--no_python", str(script)]
    return run(launcher)


def test_two_processes_equal_one_with_twice_the_micro_batches(data, tmp_path):
    flags = ["--share-all-embeddings", "--dropout", 0, "--max-tokens", 150, "--clip-norm", 1]
    # The gradient of k_proj.bias is zero but for rounding, and Adam with a small epsilon makes whole steps of that.
    flags += ["--adam-eps", 1e-3]
    one = train(data, tmp_path / "one", *flags, "--update-freq", 2, "--max-update", 5).stdout
    two = two_processes(data, tmp_path / "two", *flags, "--max-update", 5)
    losses = [[line["loss"] for line in train_log(log)] for log in (one, two.stdout)]
    assert len(losses[0]) == 5
    assert [float(x) for x in losses[0]] == pytest.approx([float(x) for x in losses[1]], abs=2e-3)
    assert_same_parameters(
        tmp_path / "one/checkpoint_last.pt", tmp_path / "two/checkpoint_last.pt", rtol=1e-4, atol=1e-5
    )
    # Resuming with two processes sends the checkpoint's settings from one to the other.
    two_processes(data, tmp_path / "two", *flags, "--max-update", 7)
    train(data, tmp_path / "one", *flags, "--update-freq", 2, "--max-update", 7)
    assert_same_parameters(
        tmp_path / "one/checkpoint_last.pt", tmp_path / "two/checkpoint_last.pt", rtol=1e-3, atol=1e-4
    )


def one_sentence(done, words):
    """A refusal: an exit status, one sentence as the last line, and no traceback of it."""
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert re.search(words, last), done.stderr[-3000:]
    assert "Traceback" not in done.stderr, done.stderr[-3000:]


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


def test_checkpoints_of_other_filters_are_refused(data, trained, tmp_path):
    checkpoint = trained / "checkpoint_last.pt"
    one_sentence(
        generate(data, [checkpoint], "--model-overrides", "{'alone_seed': 2}", check=False),
        "error: .*seed is 1 in the checkpoint and 2 in the model",
    )
    shutil.copy(checkpoint, tmp_path / "checkpoint_last.pt")
    one_sentence(
        train(data, tmp_path, "--share-all-embeddings", "--alone-seed", 2, check=False),
        "error: .*checkpoint_last.pt: .*seed is 1 in the checkpoint and 2 in the model",
    )
    other = tmp_path / "corpus"
    other.mkdir()
    write_corpus(other)
    with open(other / "train.en", "a") as source, open(other / "train.de", "a") as target:
        source.write("one more word\n")
        target.write("ein wort mehr\n")
    larger = preprocess(other, tmp_path / "larger", "--joined-dictionary")
    one_sentence(
        generate(larger, [checkpoint], check=False), "error: .*the vocabulary size is 48 in the checkpoint and 56"
    )


def test_damaged_and_foreign_checkpoints_are_refused(data, trained, tmp_path):
    whole = (trained / "checkpoint_last.pt").read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 100):
        (tmp_path / "cut.pt").write_bytes(whole[:size])
        if size in (100, len(whole) // 2):
            one_sentence(
                generate(data, [tmp_path / "cut.pt"], check=False), r"error: .*cut.pt: not a fairseq checkpoint"
            )
        with pytest.raises(ValueError, match="cut.pt: not a fairseq checkpoint"):
            load_checkpoint(tmp_path / "cut.pt")
    torch.save({"weights": torch.zeros(3)}, tmp_path / "foreign.pt")
    one_sentence(generate(data, [tmp_path / "foreign.pt"], check=False), "foreign.pt: not a fairseq checkpoint")


class Surprise:
    """What a hostile checkpoint would hold."""

    def __reduce__(self):
        return (print, ("this ran code",))


def test_a_checkpoint_that_would_run_code_is_refused(data, trained, tmp_path):
    state = load_checkpoint(trained / "checkpoint_last.pt")
    torch.save({**state, "extra": Surprise()}, tmp_path / "hostile.pt")
    done = generate(data, [tmp_path / "hostile.pt"], check=False)
    one_sentence(done, "hostile.pt: holds .*print, which the safe loader does not allow")
    assert "this ran code" not in done.stdout + done.stderr


def test_checkpoints_load_under_the_safe_loader_and_are_small(trained):
    path = trained / "checkpoint_last.pt"
    state = torch.load(path, weights_only=True)
    names = [name for name in state["model"] if "embed_tokens" in name]
    start = "encoder.embed_tokens."
    assert names == [start + "o", start + "w1", start + "w2", start + "filters.filter_version"]
    # The storages of the file, each counted once, are those of the tensors, each counted once.
    tensors = [tensor for tensor in state["model"].values() if tensor.is_floating_point()]
    assert len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == len(tensors)


def test_augmented_loss_trains_resumes_and_decodes(data, tmp_path):
    flags = ["--tie-embeddings", "all", "--criterion", "label_smoothed_cross_entropy_with_augmented_loss"]
    flags += ["--augmented-loss-weight", 0.5, "--augmented-loss-temperature", 2, "--augmented-loss-target-refresh", 2]
    flags += ["--augmented-loss-temperature-start", 1, "--augmented-loss-temperature-updates", 3]
    train(data, tmp_path, *flags, "--max-update", 2)
    lines = train_log(train(data, tmp_path, *flags, "--max-update", 4).stdout)
    assert [line["num_updates"] for line in lines] == ["3", "4"]
    assert all(float(line["augmented_loss"]) > 0 for line in lines)
    # The loss is its parts, with tau as scheduled: the label-smoothed part is a little above the cross-entropy.
    for line, temperature in zip(lines, (1 + 2 / 3, 2), strict=True):
        rest = float(line["loss"]) - 0.5 * temperature * float(line["augmented_loss"])
        assert rest == pytest.approx(float(line["nll_loss"]), rel=0.1)
    assert len(hypotheses(generate(data, [tmp_path / "checkpoint_last.pt"]).stdout)) == 33
