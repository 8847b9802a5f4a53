"""Mistakes that fairseq answers late, with an error of its own, or not at all."""

import argparse
import sys

import numpy as np
import pytest
from fairseq import options
from fairseq.data import data_utils
from fairseq.tasks import FairseqTask
from fairseq.tasks.language_modeling import LanguageModelingTask
from fairseq_training import trainer
from small_models import Task, parse

import fairseq_alone.models  # noqa: F401 (installs the seams)
from fairseq_alone.errors import UserError
from fairseq_alone.seams.checkpoint_paths import require_checkpoints, require_overrides
from fairseq_alone.seams.model_flags import require_heads_that_divide
from fairseq_alone.seams.skipped_samples import require_all_fit


@pytest.mark.parametrize(
    ("arch", "flags", "sentence"),
    [
        (
            "transformer_alone",
            ["--encoder-attention-heads=3", "--encoder-embed-dim=8"],
            "--encoder-attention-heads 3 do",
        ),
        ("transformer", ["--decoder-attention-heads=0"], "--decoder-attention-heads must be at least 1, got 0"),
        (
            "transformer_lm",
            ["--decoder-embed-dim=8", "--decoder-attention-heads=3"],
            "--decoder-attention-heads 3 does not divide --decoder-emb",
        ),
        ("transformer_lm_alone", ["--decoder-attention-heads=5"], "--decoder-attention-heads 5 does not divide"),
        ("transformer_alone", ["--alone-base-dim=1000000000000"], "the model is too large for the memory of this mach"),
        ("transformer_factorized", ["--factorized-dim=1000000000000"], "the model is too large for the memory of this"),
        ("transformer", ["--share-all-embeddings"], "--share-all-embeddings requires a joined dictionary"),
    ],
)
def test_flags_of_a_model(arch, flags, sentence):
    class Built(FairseqTask):
        source_dictionary, target_dictionary = Task(50, 40).source_dictionary, Task(50, 40).target_dictionary

    with pytest.raises(UserError) as caught:
        Built(None).build_model(parse(arch, *flags))
    assert str(caught.value).startswith(sentence)


def test_heads_that_divide_pass():
    require_heads_that_divide({"encoder_embed_dim": 12, "encoder_attention_heads": 3, "decoder_embed_dim": 5})


class Samples(list):
    """A data set whose samples are their sizes."""

    def ordered_indices(self):
        return np.arange(len(self))

    def filter_indices_by_size(self, indices, most):
        return data_utils._filter_by_size_dynamic(indices, self.__getitem__, most)


@pytest.mark.parametrize(
    ("sizes", "mode", "sentence"),
    [
        ([30, 30], "none", "2 of 2 samples are longer than the 20 tokens that .*: give --tokens-per-sample 20$"),
        ([20, 21, 3], "eos", "1 of 3 samples are longer than .*: give --sample-break-mode none --tokens-per-sample 20"),
        ([], None, "the data set holds no samples"),
    ],
)
def test_a_perplexity_of_a_part_of_the_data_is_refused(sizes, mode, sentence):
    with pytest.raises(UserError, match=f"^{sentence}"):
        require_all_fit(Samples(sizes), 20, mode)


def test_the_command_asks_before_it_evaluates():
    task = object.__new__(LanguageModelingTask)
    task.args = argparse.Namespace(sample_break_mode="eos")
    with pytest.raises(UserError, match="^1 of 1 samples are longer"):
        task.eval_lm_dataloader(dataset=Samples([30]), max_tokens=100, max_positions=20)


def test_samples_that_fit_pass():
    require_all_fit(Samples([20, 3]), 20, "eos")
    require_all_fit(Samples([20, 3000]), None, "eos")


def test_paths_of_checkpoints(tmp_path):
    first = tmp_path / "1.pt"
    first.write_text("")
    require_checkpoints(f"{first}:{first}")
    for path in (None, ""):
        with pytest.raises(UserError, match="^--path is missing"):
            require_checkpoints(path)
    with pytest.raises(UserError, match="^--path .*/2.pt: there is no such checkpoint$"):
        require_checkpoints(f"{first}:{tmp_path}/2.pt")
    require_checkpoints(f"{tmp_path}/2.pt", whole=False)


def test_commands_are_checked_before_they_begin(monkeypatch, tmp_path):
    """A program that parses flags of its own may set the path afterwards."""
    flags = ["data", "--results-path", str(tmp_path / "out")]
    assert options.parse_args_and_arch(options.get_generation_parser(), flags).path is None
    monkeypatch.setattr(sys, "argv", ["fairseq-generate", *flags])
    with pytest.raises(UserError, match="^--path is missing"):
        options.parse_args_and_arch(options.get_generation_parser())
    monkeypatch.setattr(sys, "argv", ["fairseq-generate", *flags, "--path", __file__, "--model-overrides", "x"])
    with pytest.raises(UserError, match="^--model-overrides must be like"):
        options.parse_args_and_arch(options.get_generation_parser())


def test_overrides_of_the_model():
    require_overrides("{'dropout': 0.1}")
    for text in ("{dropout", "dropout=0.1", "3"):
        with pytest.raises(UserError, match="^--model-overrides must be like .*, got "):
            require_overrides(text)


def test_batches_by_length_in_newer_versions_of_numpy():
    sizes = np.array([2, 3, 5, 9, 9, 12])
    assert data_utils.get_buckets(sizes, 2).tolist() == [5, 12]
    assert data_utils.np.percentile([1, 2], 50) == 1.5


@pytest.mark.parametrize("weight", [0.5, 0.0])
def test_an_output_layer_that_is_split_has_no_augmented_loss(weight):
    """Known before the first batch. Even with weight zero its cross-entropy would read half of the logits."""
    flags = ["--arch=transformer", "--adaptive-softmax-cutoff=10,20", f"--augmented-loss-weight={weight}"]
    with pytest.raises(UserError, match="^--adaptive-softmax-cutoff does not work with the augmented loss"):
        trainer(*flags, "--criterion=label_smoothed_cross_entropy_with_augmented_loss")
