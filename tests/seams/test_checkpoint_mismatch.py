"""A checkpoint of another model: one sentence names what differs."""

import fairseq_training
import pytest
from fairseq import checkpoint_utils
from fairseq.tasks.translation import TranslationTask
from fairseq_training import trainer
from small_models import dictionary

from fairseq_alone.errors import UserError
from fairseq_alone.seams.checkpoint_mismatch import tensor_differences


def write_checkpoint(path, *flags) -> str:
    """As fairseq's trainer writes it."""
    training = trainer(*flags)
    training.consolidate_optimizer()
    return training.save_checkpoint(str(path), {})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint of the small three-way tied ALONE model."""
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint_last.pt"
    return write_checkpoint(path)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--alone-free-rows=10,20x3"], "--alone-free-rows is 0 in the checkpoint and 10,20x3 in the model"),
        (["--encoder-embed-dim=4", "--decoder-embed-dim=4"], "--encoder-embed-dim is 8 in the checkpoint and 4 in"),
        (["--tie-embeddings", "decoder"], "--tie-embeddings is all in the checkpoint and decoder in the model"),
        (["--alone-seed=2"], "--alone-seed is 1 in the checkpoint and 2 in the model"),
        (
            ["--arch=transformer_alone", "--alone-inter-dim=6", "--encoder-layers=2"],
            "12 in the checkpoint and 6 in the model, --encoder-layers is 1",
        ),
        (["--arch=transformer"], "--arch is transformer_alone in the checkpoint and transformer in the model"),
    ],
)
def test_resuming_with_other_settings_names_them(checkpoint, flags, named):
    other = trainer(*flags)
    with pytest.raises(UserError) as caught:
        other.load_checkpoint(checkpoint)
    sentence = str(caught.value)
    assert sentence.startswith(f"{checkpoint}: --")
    assert named in sentence
    assert sentence.endswith(": give the settings that it was trained with")
    assert "\n" not in sentence
    assert isinstance(caught.value.__cause__, (RuntimeError, UserError))


def test_a_share_in_place_of_a_size(checkpoint):
    other = trainer("--arch=transformer_alone", "--alone-share=0.7", "--encoder-embed-dim=8")
    with pytest.raises(UserError) as caught:
        other.load_checkpoint(checkpoint)
    assert "--alone-inter-dim is 12 in the checkpoint and not given in the model" in str(caught.value)
    assert "--alone-share is not given in the checkpoint and 0.7 in the model" in str(caught.value)


def test_settings_of_training_are_not_named(checkpoint):
    other = trainer("--alone-dropout=0.3", "--encoder-layerdrop=0.1", "--lr=0.5", "--decoder-layers=2")
    with pytest.raises(UserError) as caught:
        other.load_checkpoint(checkpoint)
    assert str(caught.value).count(" in the checkpoint and ") == 1


class TestDecoding:
    """fairseq-generate and so on build the model from the checkpoint and ``--model-overrides``."""

    @staticmethod
    def load(path, overrides, words=50):
        state = checkpoint_utils.load_checkpoint_to_cpu(path)
        task = TranslationTask(state["cfg"].task, dictionary(words), dictionary(words))
        return checkpoint_utils.load_model_ensemble_and_task([path], arg_overrides=overrides, task=task)

    def test_overrides_are_named(self, checkpoint):
        with pytest.raises(
            UserError, match="checkpoint_last.pt: --alone-inter-dim is 12 in the checkpoint and 6 in the"
        ):
            self.load(checkpoint, {"alone_inter_dim": 6})

    def test_other_filters_name_the_file(self, checkpoint):
        with pytest.raises(UserError, match="checkpoint_last.pt: .*the vocabulary size is 50 in the checkpoint and 40"):
            self.load(checkpoint, {}, words=40)

    def test_a_flag_out_of_range_is_not_called_a_mismatch(self, checkpoint):
        with pytest.raises(UserError, match="^--alone-inter-dim must be at least 1, got 0$"):
            self.load(checkpoint, {"alone_inter_dim": 0})


def test_equal_settings_and_other_tensors_name_the_tensors(tmp_path, monkeypatch):
    path = write_checkpoint(tmp_path / "table.pt", "--arch=transformer_conventional")
    monkeypatch.setattr(fairseq_training, "VOCABULARY", 40)
    other = trainer("--arch=transformer_conventional")
    with pytest.raises(UserError) as caught:
        other.load_checkpoint(path)
    assert "table.pt does not fit the model, though their settings agree: " in str(caught.value)
    assert "encoder.embed_tokens.weight is (50, 8) in the checkpoint and (40, 8) in the model" in str(caught.value)


def test_missing_and_unexpected_tensors_are_listed():
    message = (
        "Error(s) in loading state_dict for M:\n"
        '\tMissing key(s) in state_dict: "a.b", "a.c". \n'
        '\tUnexpected key(s) in state_dict: "d". \n'
        "\tsize mismatch for e: copying a param with shape torch.Size([2, 3]) from checkpoint, the shape in current "
        "model is torch.Size([4])."
    )
    assert tensor_differences(message) == [
        "e is (2, 3) in the checkpoint and (4) in the model",
        "a.b is missing in the checkpoint",
        "a.c is missing in the checkpoint",
        "d is not in the model",
    ]
