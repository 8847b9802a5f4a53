"""The flags that a family gives for a share of a table build an embedding of about that size."""

import argparse

import pytest
import torch
from small_models import dictionary

from fairseq_alone.errors import SettingError
from fairseq_alone.models.families import FAMILIES
from fairseq_alone.models.networks import NETWORKS

WORDS, DIM = 1200, 16


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("alone", 0.5),
        ("factorized", 0.5),
        ("codes", 0.5),
        ("conventional", 1),
        ("tensor_product", 0.5),
        ("differentiated", 0.3),
    ],
)
def test_a_share_is_a_share_of_the_table(name, share):
    family = FAMILIES[name]
    args = argparse.Namespace(**family.flags_of_share(share, WORDS, DIM))
    family.fill_defaults(args, NETWORKS[0].shapes[0][1])
    torch.manual_seed(1)
    embedding = family.build(args, dictionary(WORDS), DIM, 0)
    values = sum(parameter.numel() for parameter in embedding.parameters())
    assert values == pytest.approx(share * WORDS * DIM, rel=0.03)


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("alone", 2),
        ("factorized", 0.001),
        ("codes", 0.01),
        ("conventional", 0.5),
        ("tensor_product", 0.001),
        ("differentiated", 0.1),
    ],
)
def test_a_share_that_cannot_be_is_refused(name, share):
    with pytest.raises(SettingError):
        FAMILIES[name].flags_of_share(share, WORDS, DIM)
