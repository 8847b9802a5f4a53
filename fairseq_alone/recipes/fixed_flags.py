"""Flags of fairseq that a recipe works out itself, so that they cannot be given after ``--``."""

from fairseq_alone.errors import UserError

_CHOICES = {
    "--seed": "--seed",
    "--max-epoch": "--max-epoch",
    "--cpu": "--cpu",
    "--criterion": "--augmented-loss",
    "--embedding-init": "--start",
    "--tie-embeddings": "--tie",
    "--share-all-embeddings": "--tie",
    "--share-decoder-input-output-embed": "--tie",
    "--arch": "--preset and --embedding",
    "-a": "--preset and --embedding",
}
_TOKENS = "--effective-tokens and --max-tokens"
_FOLDER = dict.fromkeys(
    ("--save-dir", "--log-file", "--log-format", "--user-dir", "--required-batch-size-multiple"),
    "is fixed; the other commands rely on it",
)
_BY_PRESET = dict.fromkeys(
    (*("--tokens-per-sample", "--batch-size", "--max-tokens", "--update-freq"), "--lr-scheduler", "--total-num-update"),
    "is fixed by the preset: the steps of the learning rate are counted from it",
)


def _chosen_by(choices: dict[str, str]) -> dict[str, str]:
    return {flag: f"is worked out from {choice}; give that before the --" for flag, choice in choices.items()}


_TRANSLATION = _FOLDER | _chosen_by(
    _CHOICES
    | {"--max-update": "--max-update", "--fp16": "--no-fp16"}
    | dict.fromkeys(("--update-freq", "--max-tokens", "--batch-size", "--max-sentences"), _TOKENS)
)
_HEADLINES = _TRANSLATION | _chosen_by({"--length-encoding": "--length", "--length-with-absolute": "--absolute"})
_GENERATING = dict.fromkeys(
    ("--required-batch-size-multiple", "--gen-subset", "--task", "--path"), "is fixed; the other commands rely on it"
)

TRAINING = {
    "translation": _TRANSLATION,
    "headlines": _HEADLINES,
    "language_model": _FOLDER | _BY_PRESET | _chosen_by(_CHOICES),
    "word_vectors": _FOLDER
    | _chosen_by(_CHOICES | {"--arch": "--model and --embedding", "-a": "--model and --embedding"})
    | dict.fromkeys(("--max-tokens", "--update-freq"), "is fixed by the preset"),
}
GENERATING_HEADLINES = _GENERATING | _chosen_by(
    {"--desired-length": "--lengths", "--beam": "--beam", "--nbest": "--beam"}
)


def refuse_fixed(flags: tuple[str, ...], fixed: dict[str, str]) -> None:
    """Raise UserError for a flag of ``fixed``, or of fairseq's distributed training."""
    for word in flags:
        name = word.split("=", 1)[0]
        if name in fixed:
            raise UserError(f"{name} {fixed[name]}")
        if name.startswith("--distributed-"):
            raise UserError(f"{name} is worked out from --workers, or from torchrun or srun")
