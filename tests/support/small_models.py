"""Small models of any architecture, built in this process from command-line flags."""

import argparse

from fairseq import options
from fairseq.data import Dictionary
from fairseq.models import ARCH_MODEL_REGISTRY

import fairseq_alone.models  # noqa: F401 (registers the architectures)


def dictionary(size=50):
    words = Dictionary()
    for number in range(size - 4):
        words.add_symbol(f"w{number}")
    return words


class Task(argparse.Namespace):
    """All that build_model asks of a task."""

    def __init__(self, source=50, target=50):
        super().__init__(source_dictionary=dictionary(source), target_dictionary=dictionary(target))


def parse(arch, *flags):
    parser = options.get_training_parser()
    return options.parse_args_and_arch(parser, ["data", "--arch", arch, *map(str, flags)])


def small(arch, *flags):
    sides = [
        [f"--{side}-embed-dim=8", f"--{side}-ffn-embed-dim=8", f"--{side}-layers=1", f"--{side}-attention-heads=2"]
        for side in ("encoder", "decoder")
    ]
    sizes = {"transformer_alone": ["--alone-inter-dim=12"], "transformer_factorized": ["--factorized-dim=3"]}
    if "--alone-share" in flags:
        sizes = {}
    return parse(arch, *sides[0], *sides[1], *sizes.get(arch, []), "--dropout=0", *flags)


def build(arch="transformer_alone", *flags, task=None):
    args = small(arch, *flags)
    return ARCH_MODEL_REGISTRY[arch].build_model(args, task or Task())
