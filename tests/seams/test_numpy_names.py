"""Names that newer versions of numpy do not have."""

import pytest
from conftest import train

import fairseq_alone.models  # noqa: F401 (installs the seams)


def test_language_models_can_have_one_sentence_a_sample():
    """fairseq's data set asks for something that newer versions of numpy do not have."""
    import torch
    from fairseq.data import TokenBlockDataset

    sentences = [torch.tensor([5, 6, 2]), torch.tensor([7, 2])]
    samples = TokenBlockDataset(sentences, [3, 2], None, pad=1, eos=2, break_mode="eos")
    assert [sample.tolist() for sample in samples] == [[5, 6, 2], [7, 2]]


@pytest.mark.slow
def test_batches_by_length_train(data, tmp_path):
    """fairseq asks for percentiles by an argument that newer versions of numpy call otherwise."""
    train(data, tmp_path, "--share-all-embeddings", "--num-batch-buckets", 4, "--max-update", 1)
    assert (tmp_path / "checkpoint_last.pt").exists()
