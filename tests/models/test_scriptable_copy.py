"""TorchScript: a scripted model gives the same logits, and the model itself stays as it is."""

import pytest
import torch
from small_models import build
from toy_checkpoints import toy_model

from fairseq_alone.errors import UserError

SOURCE = torch.tensor([[5, 6, 7, 2], [8, 9, 2, 1]])
LENGTHS = torch.tensor([4, 3])
TARGET = torch.tensor([[2, 5, 6], [2, 7, 8]])
REGULARIZED = ("--output-projection-regularization=0.1", "--criterion=cross_entropy_with_augmented_loss")


def scripted_like(model, *inputs):
    model.eval()
    modules = [type(module) for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    scripted = torch.jit.script(model)
    assert [type(module) for module in model.modules()] == modules
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        torch.testing.assert_close(scripted(*inputs)[0], model(*inputs)[0])
    return scripted


@pytest.mark.parametrize(
    ("arch", "flags"),
    [
        ("transformer_alone", ["--tie-embeddings=all", "--alone-free-rows=3,4x2"]),
        ("transformer_factorized", ["--tie-embeddings=decoder"]),
        ("transformer_alone", ["--tie-embeddings=none", *REGULARIZED]),
    ],
)
def test_a_scripted_model_gives_its_logits(arch, flags):
    scripted_like(build(arch, *flags), SOURCE, LENGTHS, TARGET)


def test_a_scripted_model_holds_a_tied_matrix_once():
    scripted = scripted_like(build("transformer_alone", "--tie-embeddings=all"), SOURCE, LENGTHS, TARGET)
    tables = [value.data_ptr() for value in scripted.state_dict().values() if tuple(value.shape) == (50, 8)]
    assert len(tables) > 1
    assert len(set(tables)) == 1


def test_a_length_encoding_is_refused():
    model = toy_model("transformer_alone_duc", task="headline_generation")[0]
    with pytest.raises(UserError, match="TorchScript does not work with --length-encoding lrpe"):
        torch.jit.script(model)
