"""The real commands refuse checkpoints that are damaged, foreign, hostile, or of another model."""

import shutil

import pytest
import torch
from conftest import write_corpus
from fairseq_commands import generate, one_sentence, preprocess, train

from fairseq_alone.checkpoints import load_checkpoint

pytestmark = pytest.mark.slow


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
