"""``output_layer_loss`` is fairseq's cross-entropy: in value, gradient and log, for every output layer."""

import pytest
import torch
from fairseq.criterions.cross_entropy import CrossEntropyCriterion
from fairseq.logging import metrics
from fairseq.models import ARCH_MODEL_REGISTRY
from small_models import SIZES, Task, build, parse

from fairseq_alone.criterions.output_layer_loss import OutputLayerLoss
from fairseq_alone.errors import UserError
from fairseq_alone.modules import HierarchicalSoftmax

PAD = 1
UNTIED = "--tie-embeddings=none"
TREE = (UNTIED, "--output-layer=hierarchical", "--hierarchical-tree=balanced")
TARGET = torch.tensor([[10, 11, 2], [12, 2, PAD]])
SAMPLE = {
    "net_input": {
        "src_tokens": torch.tensor([[5, 6, 7, 2], [PAD, 8, 9, 2]]),
        "src_lengths": torch.tensor([4, 3]),
        "prev_output_tokens": torch.tensor([[2, 10, 11], [2, 12, PAD]]),
    },
    "target": TARGET,
    "ntokens": 5,
}


def translation(arch, *flags):
    return build(arch, *flags), SAMPLE


def language_model(arch, *flags):
    kind = arch.removeprefix("lstm_lm_")
    sizes = ["--decoder-embed-dim=8", "--decoder-hidden-size=8", "--decoder-layers=1", *SIZES.get(kind, ())]
    model = ARCH_MODEL_REGISTRY[arch].build_model(parse(arch, *sizes, "--dropout=0", *flags), Task())
    return model, {**SAMPLE, "net_input": {"src_tokens": SAMPLE["net_input"]["prev_output_tokens"]}}


MODELS = {
    "tree of a table": lambda: translation("transformer_conventional", *TREE),
    "tree of computed nodes": lambda: translation("transformer_alone", *TREE),
    "tree, LSTM": lambda: language_model("lstm_lm_factorized", *TREE),
    "differentiated": lambda: translation("transformer_differentiated", "--tie-embeddings=all"),
    "differentiated output": lambda: language_model("lstm_lm_alone", "--output-layer=differentiated"),
    "softmax": lambda: translation("transformer_factorized", "--tie-embeddings=all"),
    "stock softmax": lambda: translation("transformer_conventional", UNTIED),
    "stock model": lambda: translation("transformer", "--share-decoder-input-output-embed"),
}


@pytest.mark.parametrize("sentence_avg", [False, True])
@pytest.mark.parametrize("reduce", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_cross_entropy(name, reduce, sentence_avg):
    torch.manual_seed(1)
    model, sample = MODELS[name]()
    found = []
    for criterion in (OutputLayerLoss(Task(), sentence_avg), CrossEntropyCriterion(Task(), sentence_avg)):
        model.zero_grad()
        criterion.padding_idx = PAD
        loss, size, log = criterion(model, sample, reduce)
        (loss * torch.arange(1.0, loss.numel() + 1)).sum().backward()
        gradients = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
        with metrics.aggregate() as meters:
            criterion.reduce_metrics([{**log, "loss": log["loss"].sum()}])
        found.append((loss, size, log, gradients, meters.get_smoothed_values()))
    ours, theirs = found
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-4, atol=1e-5)
    assert ours[1] == theirs[1]
    assert ours[2].keys() == theirs[2].keys()
    assert ours[3].keys() == theirs[3].keys()
    for parameter, gradient in theirs[3].items():
        torch.testing.assert_close(ours[3][parameter], gradient, rtol=1e-3, atol=1e-5)
    assert ours[4] == theirs[4]


def test_a_tree_is_never_asked_for_all_words(monkeypatch):
    monkeypatch.setattr(HierarchicalSoftmax, "forward", None)
    model, sample = MODELS["tree of a table"]()
    for mode in (True, False):
        OutputLayerLoss(Task(), False).train(mode)(model.train(mode), sample)


def test_other_output_layers_are_refused():
    criterion = OutputLayerLoss(Task(), False)
    criterion.check_model(MODELS["softmax"]()[0])
    for model in (torch.nn.Linear(2, 2), build("transformer", "--adaptive-softmax-cutoff=10,20")):
        with pytest.raises(UserError, match="--criterion output_layer_loss needs a softmax without bias"):
            criterion.check_model(model)
