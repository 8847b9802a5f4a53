"""Small models of any architecture, built in this process from command-line flags."""

import argparse
import re

from fairseq import options
from fairseq.data import Dictionary
from fairseq.models import ARCH_MODEL_REGISTRY
from fairseq.models.ema.ema import EMA

from fairseq_alone.models.families import FAMILIES

#: Every kind of embedding: a new family takes part in the tests without being named in them.
KINDS = list(FAMILIES)
#: Flags of those whose default size is too large for small models.
SIZES = {
    "alone": ["--alone-inter-dim=12"],
    "char_cnn": ["--char-cnn-dim=3", "--char-cnn-filters=1x3,2x4", "--char-cnn-correction-dim=2"],
    "factorized": ["--factorized-dim=3"],
    "tensor_product": ["--tensor-rank=3"],
}


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
    shared = any(re.fullmatch(r"--\w+(-\w+)*-share(=.*)?", str(flag)) for flag in flags)
    size = [] if shared else SIZES.get(arch.removeprefix("transformer_"), [])
    return parse(arch, *sides[0], *sides[1], *size, "--dropout=0", *flags)


def build(arch="transformer_alone", *flags, task=None):
    args = small(arch, *flags)
    return ARCH_MODEL_REGISTRY[arch].build_model(args, task or Task())


def moving_average(model, decay, fp32=False):
    """fairseq's moving average, as ``--store-ema`` makes it."""
    settings = {"ema_seed_model": None, "ema_start_update": 0, "ema_update_freq": 1}
    return EMA(model, argparse.Namespace(ema_decay=decay, ema_fp32=fp32, **settings))
