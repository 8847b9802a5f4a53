"""Scores as log-probabilities: every network, TorchScript, the warning, and no training."""

import logging

import pytest
import torch
from small_models import KINDS
from toy_trained import toy_trained

from fairseq_alone.errors import UserError

NETWORKS = ("transformer", "transformer_lm", "lstm_lm")


def decoder_output(model):
    words = torch.arange(4, 10).view(2, 3)
    if hasattr(model, "encoder"):
        return model(words, torch.tensor([3, 3]), words)
    return model(words, src_lengths=torch.tensor([3, 3]))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_network(network, kind):
    model = toy_trained(f"{network}_{kind}", "--unnormalized-scores").model
    output = decoder_output(model)
    torch.testing.assert_close(model.get_normalized_probs(output, log_probs=True), output[0], rtol=0, atol=0)
    torch.testing.assert_close(model.get_normalized_probs(output, log_probs=False), output[0].exp())
    plain = toy_trained(f"{network}_{kind}").model.get_normalized_probs(output, log_probs=True)
    torch.testing.assert_close(plain, output[0].log_softmax(2))


def test_half_types_become_float32():
    model = toy_trained("lstm_lm_factorized", "--unnormalized-scores").model
    assert model.get_normalized_probs((torch.zeros(1, 1, 3).half(), None), log_probs=True).dtype == torch.float32


def test_torchscript():
    trained = toy_trained("transformer_factorized", "--unnormalized-scores")
    output = decoder_output(trained.model)
    script = torch.jit.script(trained.model)
    assert script.unnormalized_scores
    torch.testing.assert_close(decoder_output(script)[0], output[0])


@pytest.mark.parametrize(
    ("criterion", "warns"), [("cross_entropy", True), ("self_normalization", False), ("label_smoothed", True)]
)
def test_a_warning_where_log_z_was_left_as_it_came(criterion, warns, caplog):
    criterion = {"label_smoothed": "label_smoothed_cross_entropy"}.get(criterion, criterion)
    with caplog.at_level(logging.WARNING):
        toy_trained("transformer_factorized", "--unnormalized-scores", f"--criterion={criterion}")
        toy_trained("transformer_factorized", f"--criterion={criterion}")
    found = [record.message for record in caplog.records if "unnormalized" in record.message]
    assert len(found) == int(warns)
    assert not warns or f"trained with --criterion {criterion}" in found[0]


def test_it_cannot_be_trained():
    model = toy_trained("transformer_factorized", "--unnormalized-scores").model
    model.eval()
    with pytest.raises(UserError, match="--unnormalized-scores is for decoding: leave it out of the training"):
        model.train()
