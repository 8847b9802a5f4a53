"""The training of the language model recipe: settings and flags."""

import math
from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.recipes.batch import Batch, divide
from fairseq_alone.recipes.checksum import cksum
from fairseq_alone.recipes.train_options import TrainOptions
from fairseq_alone.recipes.training import Training, bits_flags, embedding_size, is_zero, no_effect, start_of
from fairseq_alone.recipes.values import decimal, one_of, positive, whole
from fairseq_alone.recipes.work_folder import WorkFolder
from fairseq_alone.recipes.workers import Workers

_EMBEDDINGS = ("conventional", "factorized", "alone", "alone_share", "codes", "differentiated", "char_cnn")

_OUTPUT_LAYERS = ("softmax", "hierarchical", "differentiated", "char_cnn")
_LOSSES = (
    *("cross_entropy", "sampled_softmax", "noise_contrastive_estimation", "target_sampling"),
    "self_normalization",
)

#: The line in the settings of a run whose state goes on from one sequence to the next.
CARRIED = "carry_state=1"


def language_model_training(work: WorkFolder, options: TrainOptions) -> Training:
    """The training of an LSTM.

    Raises:
        UserError: a choice is out of its range.
    """
    preset = work.preset(options.preset or "small")
    work.require("data-bin", "clean/counts")
    embedding = one_of("--embedding", options.embedding or "conventional", _EMBEDDINGS)
    tie = one_of("--tie", options.tie or "none", ("none", "decoder"))
    epochs = positive("--max-epoch", options.max_epoch if options.max_epoch is not None else preset["max_epoch"])
    weight = decimal("--augmented-loss", options.augmented_loss)
    temperature = decimal("--temperature", options.temperature if options.temperature is not None else "10")
    size = embedding_size(embedding, options, preset["inter_dim"], preset["factorized_dim"])
    start, start_settings = start_of(options)
    bits = bits_flags(options.bits)
    output, criterion = _output_and_loss(options, weight, temperature)
    scaled = [] if preset["scale_embedding"] else ["--no-scale-embedding"]
    carried = options.carry_state or preset["carry_state"]
    units, words, sequences = preset["units"], preset["words"], preset["sequences"]
    dropout, recurrent, lr = preset["dropout"], preset["recurrent"], preset["lr"]
    settings = [
        f"preset={preset.name} embedding={embedding} {' '.join(size)}",
        *start_settings,
        f"tie={tie} {' '.join([*output, *criterion])}",
        f"max_epoch={epochs} seed={whole('--seed', options.seed)}",
        f"preset_flags={units} units, dropout {dropout} and {recurrent}, lr {lr}, batches of {sequences} x {words}",
        f"data={cksum(work.path / 'prepare.settings')}",
        # Runs of before have no such line.
        *([f"bits={bits[1]}"] if bits else []),
        *([CARRIED] if carried else []),
        *(["scale_embedding=0"] if scaled else []),
        f"flags={' '.join(options.flags)}",
    ]
    tokens = counted_tokens(work)["train"]

    def flags(batch: Batch, workers: Workers, checkpoints: Path) -> list[str]:
        # The learning rate reaches zero at the last update. Each worker has its share of an epoch's batches.
        if carried:
            task, updates = "truncated_bptt_lm", math.ceil(math.ceil(tokens / (batch.size * workers.count)) / words)
        else:
            batches = math.ceil(math.ceil(tokens / words) / batch.size)
            task, updates = "language_modeling", math.ceil(batches / workers.count)
        updates *= epochs
        return [
            *("--task", task, "--arch", preset["architecture"].format(family=embedding.removesuffix("_share"))),
            *(*size, *start, *bits, "--tie-embeddings", tie, *output, *criterion),
            *("--decoder-layers", "2", "--decoder-embed-dim", str(units), "--decoder-hidden-size", str(units), *scaled),
            *("--variational-dropout", "--dropout", dropout, "--variational-recurrent-dropout", recurrent),
            *("--sample-break-mode", "none", "--tokens-per-sample", str(words), "--batch-size", str(batch.size)),
            # Without this fairseq drops up to 7 sequences of every set.
            *("--required-batch-size-multiple", "1", "--optimizer", "adam", "--clip-norm", "1.0", "--lr", lr),
            *("--lr-scheduler", "polynomial_decay", "--warmup-updates", str(updates // 20)),
            *("--total-num-update", str(updates), "--max-epoch", str(epochs), "--seed", str(options.seed)),
            # By perplexity: the loss has the augmented part in it.
            *("--best-checkpoint-metric", "ppl", "--no-epoch-checkpoints", "--save-dir", str(checkpoints)),
            *("--log-format", "json", "--log-interval", "50"),
        ]

    notes = no_effect(embedding, factorized_dim=options.factorized_dim, share=options.share)
    # One micro-batch for each update, so --update-freq stays 1.
    return Training(
        settings,
        notes,
        epochs,
        0,
        lambda workers: divide(sequences, sequences, workers, "sequences"),
        flags,
        fp16=False,
    )


def _output_and_loss(options: TrainOptions, weight: str, temperature: str) -> tuple[list[str], list[str]]:
    """The flags of the output layer, none for a softmax, and those of the loss.

    Raises:
        UserError: there is no such layer or loss, or the loss contradicts the augmented loss.
    """
    layer = one_of("--output-layer", options.output_layer or "softmax", _OUTPUT_LAYERS)
    output = [] if layer == "softmax" else ["--output-layer", layer]
    loss = one_of("--loss", options.loss or "cross_entropy", _LOSSES)
    if is_zero(weight):
        # The layer knows a cheaper way to the probability of one word than by way of all of them.
        of_layer = options.loss is None and layer in ("hierarchical", "differentiated")
        return output, ["--criterion", "output_layer_loss" if of_layer else loss]
    if loss != "cross_entropy":
        raise UserError(f"--loss {loss} does not work with --augmented-loss, which needs the scores of all words")
    augmented = ["--augmented-loss-weight", weight, "--augmented-loss-temperature", temperature]
    return output, ["--criterion", "cross_entropy_with_augmented_loss", *augmented]


def counted_tokens(work: WorkFolder) -> dict[str, int]:
    """Words and ends of sentences of each split.

    Raises:
        UserError: the file of prepare does not say.
    """
    counts = {}
    for line in (work.path / "clean/counts").read_text().splitlines():
        split, _, rest = line.partition(": ")
        numbers = [word for word in rest.split() if word.isdecimal()]
        counts[split] = sum(map(int, numbers))
    if set(counts) != {"train", "valid", "test"} or not all(counts.values()):
        raise UserError(f"{work.path}/clean/counts does not say how long the text is; run fairseq-alone prepare again")
    return counts
