"""The ``--tensor-`` flags, what a checkpoint says of itself, and a build without fairseq."""

import pytest
import torch
from small_models import build

from fairseq_alone.errors import UserError
from fairseq_alone.models.tensor_product_family import TensorProductFamily
from fairseq_alone.modules import build_embedding


def embedding(*flags):
    return build("transformer_tensor_product", "--tie-embeddings=all", *flags).eval().encoder.embed_tokens


@pytest.mark.parametrize("normalize", [True, False])
def test_flags_description_and_settings(normalize):
    flags = ["--tensor-order=3", "--tensor-rank=4", *(["--tensor-normalize"] if normalize else [])]
    module = embedding(*flags)
    assert TensorProductFamily.describe(module.state_dict()) == {
        "vocabulary": 50,
        "embed_dim": 8,
        "tensor_order": 3,
        "tensor_rank": 4,
        "tensor_normalized": "yes" if normalize else None,
    }
    assert TensorProductFamily.describe({"factors.0": torch.zeros(1)}) is None
    again = build_embedding("tensor_product", TensorProductFamily.module_settings(module))
    again.load_state_dict(module.state_dict())
    assert torch.equal(again.matrix(), module.matrix())


@pytest.mark.parametrize("order", [2, 3])
def test_a_share_decides_the_rank(order):
    module = build(
        "transformer_tensor_product",
        *("--tie-embeddings=all", "--tensor-share=0.5", f"--tensor-order={order}", "--tensor-rank=16"),
    ).encoder.embed_tokens
    values = sum(parameter.numel() for parameter in module.parameters())
    assert abs(values - 0.5 * 50 * 8) <= values / module.rank / 2


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--tensor-order=1"], "--tensor-order must be at least 2, got 1"),
        (["--tensor-rank=0"], "--tensor-rank must be at least 1, got 0"),
        (["--tensor-share=0.5", "--tensor-rank=4"], "--tensor-rank follows from --tensor-share; give one of the two"),
        (["--tensor-share=0", "--tensor-rank=16"], "--tensor-share must be greater than 0, got 0.0"),
        (["--tensor-share=0.01", "--tensor-rank=16"], "--tensor-rank would be 0 for a share of 0.01"),
        (["--tensor-share=0.5", "--tensor-rank=16", "--tensor-order=0"], "--tensor-order must be at least 2, got 0"),
    ],
)
def test_what_is_refused(flags, words):
    with pytest.raises(UserError, match=words):
        embedding(*flags)
