"""The training of the word vectors recipe: settings and flags."""

from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.recipes.batch import Batch, divide
from fairseq_alone.recipes.checksum import cksum
from fairseq_alone.recipes.presets import Preset
from fairseq_alone.recipes.train_options import TrainOptions
from fairseq_alone.recipes.training import Training, embedding_size, is_zero, no_effect, start_of
from fairseq_alone.recipes.values import decimal, one_of, positive, whole
from fairseq_alone.recipes.work_folder import WorkFolder
from fairseq_alone.recipes.workers import Workers

MODELS = ("skip_gram", "cbow", "nnlm", "cw")
_EMBEDDINGS = (
    *("conventional", "factorized", "alone", "alone_share", "codes", "tensor_product", "differentiated"),
    "char_cnn",
)


def word_vectors_training(work: WorkFolder, options: TrainOptions) -> Training:
    """The training of word vectors.

    Raises:
        UserError: a choice is out of its range.
    """
    preset = work.preset(options.preset or "small")
    work.require("data-bin", "clean/counts")
    if not is_zero(decimal("--augmented-loss", options.augmented_loss)):
        raise UserError("--augmented-loss does not belong to the recipe word_vectors")
    model = one_of("--model", options.model or "skip_gram", MODELS)
    embedding = one_of("--embedding", options.embedding or "conventional", _EMBEDDINGS)
    tie = one_of("--tie", options.tie or "none", ("none", "decoder"))
    epochs = positive("--max-epoch", options.max_epoch if options.max_epoch is not None else preset["max_epoch"])
    dim = preset["cw"]["dim"] if model == "cw" else preset["dim"]
    size = embedding_size(embedding, options, inter_dim=dim * 2, factorized_dim=dim // 4)
    start, start_settings = start_of(options)
    learning = _learning(model, embedding, preset)
    shape = _shape(model, dim, tie, preset)
    tokens = preset["tokens"]
    settings = [
        f"preset={preset.name} model={model} embedding={embedding} {' '.join(size)}",
        *start_settings,
        f"tie={tie}",
        f"max_epoch={epochs} seed={whole('--seed', options.seed)}",
        f"preset_flags={' '.join([*shape, *learning])}, batches of {tokens} tokens",
        f"data={cksum(work.path / 'prepare.settings')}",
        f"flags={' '.join(options.flags)}",
    ]

    def flags(batch: Batch, workers: Workers, checkpoints: Path) -> list[str]:
        arch = model if embedding == "conventional" else f"{model}_{embedding.removesuffix('_share')}"
        return [
            *("--task", "word_vectors", "--arch", arch, *size, *start, *shape, *learning),
            *("--max-tokens", str(batch.size), "--update-freq", str(batch.update_freq)),
            *("--max-epoch", str(epochs), "--seed", str(options.seed), "--save-dir", str(checkpoints)),
            # What the vectors are worth is measured by evaluate: the loss in validation is no measure of it.
            *("--disable-validation", "--no-epoch-checkpoints"),
            *("--log-format", "json", "--log-interval", "100"),
            # Rows are exchanged by this one; it is the flag of several workers on a CPU anyway.
            *(["--ddp-backend", "legacy_ddp"] if workers.count > 1 and workers.gpus else []),
        ]

    notes = no_effect(
        embedding, factorized_dim=options.factorized_dim, share=options.share, inter_dim=options.inter_dim
    )
    return Training(
        settings, notes, epochs, 0, lambda workers: divide(tokens, tokens, workers, "tokens"), flags, fp16=False
    )


def _shape(model: str, dim: int, tie: str, preset: Preset) -> list[str]:
    """Flags of the network and of the text that it sees."""
    flags = ["--decoder-embed-dim", str(dim)]
    if model == "nnlm":
        return [*flags, "--nnlm-hidden-dim", str(dim), "--tie-embeddings", tie]
    flags += ["--window", str(preset["window"]), "--window-subsample", preset["subsample"]]
    if model == "cw":
        # There is no output embedding to tie.
        return [*flags, "--cw-hidden-dim", str(preset["cw"]["hidden"])]
    return [*flags, "--tie-embeddings", tie]


def _learning(model: str, embedding: str, preset: Preset) -> list[str]:
    """Flags of the loss and of the updates."""
    table = embedding == "conventional"
    rate = preset["lr"][model if table else "computed"]
    loss = {"nnlm": "cross_entropy", "cw": "window_ranking"}.get(model, "negative_sampling")
    flags = ["--criterion", loss, "--optimizer", "adam_rows", "--lr", rate, "--lr-scheduler", "linear_over_epochs"]
    # word2vec's updates, where each table has many small gradients of drawn words.
    rows = ["--rows-rule", "sgd"] if table and model != "nnlm" else []
    if model == "cw":
        ranking = preset["cw"]
        flags += ["--ranking-power", str(ranking["power"]), "--ranking-num-samples", str(ranking["samples"])]
        for name in ("lr_scale", "clip_norm") if table else ():
            rows += [f"--rows-{name.replace('_', '-')}", str(ranking[f"rows_{name}"])]
    return flags + rows
