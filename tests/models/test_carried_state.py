"""The LSTM's state goes from one piece of a text to the next."""

import pytest
import torch
from small_models import Task, parse

from fairseq_alone.models.networks import MODELS


def lstm(*flags):
    sizes = ("--decoder-embed-dim=8", "--decoder-hidden-size=9", "--decoder-layers=2", "--decoder-out-embed-dim=8")
    args = parse("lstm_lm_conventional", *sizes, "--dropout=0", "--tie-embeddings=decoder", *flags)
    return MODELS["LSTMLMConventionalModel"].build_model(args, Task())


@pytest.fixture
def model():
    torch.manual_seed(5)
    return lstm()


TEXT = torch.randint(4, 50, (2, 24), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("flags", [(), ("--residuals",), ("--variational-dropout",)])
def test_pieces_are_one_long_forward_pass(flags):
    torch.manual_seed(5)
    model = lstm(*flags)
    whole, _ = model(TEXT)
    pieces = [model(TEXT[:, at : at + 7], first_piece=at == 0)[0] for at in range(0, 24, 7)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, rtol=1e-5, atol=1e-6)
    # Without the state it is another one.
    assert (model(TEXT[:, 7:14])[0] - whole[:, 7:14]).abs().max() > 1e-3


def test_the_gradient_ends_where_a_piece_begins():
    model = lstm("--tie-embeddings=none")
    model(TEXT[:, :12], first_piece=True)
    model(TEXT[:, 12:], first_piece=False)[0].sum().backward()
    moved = model.decoder.embed_tokens.weight.grad.abs().sum(dim=1).nonzero().flatten()
    assert torch.equal(moved, TEXT[:, 12:].unique())
    state = model.decoder.carried_state.of_training()
    assert state.shape == (2, 2, 2, 9)
    assert not state.requires_grad


def test_validation_leaves_the_state_of_the_training_alone(model):
    model(TEXT[:, :12], first_piece=True)
    before = model.decoder.carried_state.of_training()
    model.eval()
    with torch.no_grad():
        model(TEXT[:, 3:9], first_piece=True)
        model(TEXT[:1, 9:12], first_piece=True)
    assert torch.equal(model.decoder.carried_state.of_training(), before)


def test_a_piece_without_its_beginning_is_an_error(model):
    with pytest.raises(RuntimeError, match="no state of the piece before"):
        model(TEXT[:, :5], first_piece=False)
    model(TEXT[:, :5], first_piece=True)
    with pytest.raises(RuntimeError, match="had 2 texts side by side, this one has 1"):
        model(TEXT[:1, 5:], first_piece=False)


def test_masks_are_drawn_anew_for_each_piece():
    model = lstm("--variational-dropout", "--variational-recurrent-dropout=0.5").train()
    first, again = (model(TEXT[:, :5], first_piece=True)[0] for _ in range(2))
    assert not torch.equal(first, again)
