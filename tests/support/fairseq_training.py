"""fairseq's own trainer on made-up sentences, in this process: faster than the commands, and open to inspection."""

import functools
import pickle

import torch
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.logging import metrics
from fairseq.tasks.translation import TranslationTask
from fairseq.trainer import Trainer
from small_models import dictionary

import fairseq_alone.models  # noqa: F401 (registers the architectures)

SIDES = [
    f"--{side}-{setting}"
    for side in ("encoder", "decoder")
    for setting in ("embed-dim=8", "ffn-embed-dim=8", "layers=1", "attention-heads=2")
]
FLAGS = ["--arch=transformer_alone", "--dropout=0.1", "--cpu"]
# A large epsilon: with a small one Adam makes rounding noise in gradients that should be zero a full step.
FLAGS += ["--optimizer=adam", "--adam-eps=1e-3", "--lr=0.01"]
CRITERION = ["--criterion=label_smoothed_cross_entropy", "--label-smoothing=0.1"]
VOCABULARY = 50


@functools.cache
def _configuration(flags: tuple[str, ...]) -> bytes:
    """What fairseq-train makes of its flags, which takes longer than some updates; pickled, for a copy each time."""
    args = options.parse_args_and_arch(options.get_training_parser(), ["data", *SIDES, *FLAGS, *flags])
    return pickle.dumps(convert_namespace_to_omegaconf(args))


def trainer(*flags) -> Trainer:
    """A trainer of a small ALONE Transformer, all tied unless told otherwise. Later flags win."""
    flags = list(map(str, flags))
    if "--tie-embeddings" not in flags:
        flags.append("--share-all-embeddings")
    if not any(flag.startswith("--arch") for flag in flags):
        flags.append("--alone-inter-dim=12")
    if not any(flag.startswith("--criterion") for flag in flags):
        flags += CRITERION
    config = pickle.loads(_configuration(tuple(flags)))
    words = dictionary(VOCABULARY)
    task = TranslationTask(config.task, words, words)
    torch.manual_seed(1)
    model = task.build_model(config.model)
    return Trainer(config, task, model, task.build_criterion(config.criterion))


def micro_batch(generator: torch.Generator, sentences: int = 3) -> dict:
    """Random sentences in fairseq's form; the target is the source backwards."""
    lengths = torch.randint(2, 6, (sentences,), generator=generator).sort(descending=True).values
    source = torch.full((sentences, int(lengths[0]) + 1), 1)
    target, previous = source.clone(), source.clone()
    for row, length in enumerate(lengths.tolist()):
        words = torch.randint(4, VOCABULARY, (length,), generator=generator)
        source[row, -length - 1 :] = torch.cat([words, torch.tensor([2])])
        target[row, : length + 1] = torch.cat([words.flip(0), torch.tensor([2])])
        previous[row, : length + 1] = torch.cat([torch.tensor([2]), words.flip(0)])
    net_input = {"src_tokens": source, "src_lengths": lengths + 1, "prev_output_tokens": previous}
    tokens = int(lengths.sum()) + sentences
    return {
        "id": torch.arange(sentences),
        "nsentences": sentences,
        "ntokens": tokens,
        "net_input": net_input,
        "target": target,
    }


def updates(sizes, seed: int = 1) -> list[list[dict]]:
    """Groups of micro-batches, one group for each update."""
    generator = torch.Generator().manual_seed(seed)
    return [[micro_batch(generator) for _ in range(size)] for size in sizes]


def train(training: Trainer, groups) -> list[tuple[float, float]]:
    """Run updates; return each one's loss and gradient norm as fairseq logs them."""
    logs = []
    for group in groups:
        with metrics.aggregate(new_root=True) as numbers:
            training.train_step(group)
        values = numbers.get_smoothed_values()
        logs.append((float(values["loss"]), float(values["gnorm"])))
    return logs


def parameters(training: Trainer) -> dict[str, torch.Tensor]:
    """The trained values, by name."""
    return {name: value.detach().float().clone() for name, value in training.get_model().named_parameters()}
