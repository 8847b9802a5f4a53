"""Small models with random tensors, as what ``open_model`` gives; settings as the command line gives them."""

from argparse import Namespace

import torch
from fairseq import options
from small_models import SIZES, dictionary

import fairseq_alone.models  # noqa: F401 (registers the architectures)
from fairseq_alone.inference.trained_model import Decoding, TextSettings, TrainedModel, build_task, plain_config

_SIDES = [
    f"--{side}-{setting}"
    for side in ("encoder", "decoder")
    for setting in ("embed-dim=8", "ffn-embed-dim=12", "layers=2", "attention-heads=2")
]
_LAYERS = {
    "transformer_lm": ["--decoder-embed-dim=8", "--decoder-ffn-embed-dim=12", "--decoder-attention-heads=2"],
    "lstm_lm": ["--decoder-embed-dim=8", "--decoder-hidden-size=6", "--decoder-layers=2"],
}
# Where the size of the family's default is too large.
_FAMILIES = {**SIZES, "codes": ["--codes-num-codebooks=2", "--codes-codebook-size=8"]}


def toy_trained(arch: str, *flags, vocabulary=20, target_vocabulary=None, task=None, seed=1) -> TrainedModel:
    """A model whose every tensor is random: biases and layer norms too, so that a lost one is noticed.

    Args:
        arch: of this package or of stock fairseq.
        flags: of the command line; they win over small sizes.
        vocabulary: words of the source, special symbols included.
        target_vocabulary: those of the target; None is one dictionary for both.
        task: its name; None is the usual one of the network.
        seed: of the tensors.
    """
    network = next((name for name in _LAYERS if arch.startswith(name)), "transformer")
    language_model = network != "transformer"
    task = task or ("language_modeling" if language_model else "translation")
    size = _LAYERS.get(network, _SIDES) + next((s for family, s in _FAMILIES.items() if f"_{family}" in arch), [])
    parser = options.get_training_parser(task)
    langs = ["--tokens-per-sample=30"] if language_model else ["-s=en", "-t=de", "--max-source-positions=40"]
    args = options.parse_args_and_arch(
        parser, ["data", f"--task={task}", f"--arch={arch}", *langs, "--max-target-positions=40", *size, *flags]
    )
    target = dictionary(target_vocabulary or vocabulary)
    source = target if target_vocabulary is None else dictionary(vocabulary)
    settings = {"_name": task, **{name: value for name, value in vars(args).items() if name != "data"}}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        built = build_task("toy", settings, None if language_model else source, target)
        model = built.build_model(args)
        for parameter in model.parameters():
            parameter.data.add_(torch.randn_like(parameter) * 0.3)
    kind = "language_model" if language_model else "headlines" if task == "headline_generation" else "translation"
    return TrainedModel(
        *("toy", kind, model.eval(), built, plain_config(args, Namespace(**settings))),
        *(None if language_model else source, target),
        decoding=Decoding(beam=2),
    )


def with_subwords(trained: TrainedModel) -> TrainedModel:
    """Give a translation model with one dictionary real merges: its w0, w1, ... become pieces of words.

    "wow." is "wow .", and "wob" is "wo@@ b".
    """
    dictionary = trained.target_dictionary
    pieces = ["wow", ".", "wo@@", "b", "w@@", "&apos;s", "o@@", "o", "w", "b@@"]
    for number, piece in enumerate(pieces, start=dictionary.nspecial):
        del dictionary.indices[dictionary.symbols[number]]
        dictionary.symbols[number], dictionary.indices[piece] = piece, number
    codes = b"#version: 0.2\nw o\nwo w</w>\n"
    trained.text = TextSettings("en", "de", "moses", "en", "subword-nmt", codes, ("<unk>",))
    return trained
