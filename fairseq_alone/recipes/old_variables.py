"""The shell scripts of the recipes, for one release: their variables become the flags of the commands.

python -m fairseq_alone.recipes.old_variables RECIPE SCRIPT ARGUMENTS...
"""

import os
import sys
from collections.abc import Mapping

_VALUES = {
    "PRESET": "--preset",
    "EMBEDDING": "--embedding",
    "TIE": "--tie",
    "AUGMENTED_LOSS": "--augmented-loss",
    "TEMPERATURE": "--temperature",
    "INTER_DIM": "--inter-dim",
    "SHARE": "--share",
    "FACTORIZED_DIM": "--factorized-dim",
    "LENGTH": "--length",
    "MAX_EPOCH": "--max-epoch",
    "MAX_UPDATE": "--max-update",
    "SEED": "--seed",
    "EFFECTIVE_TOKENS": "--effective-tokens",
    "MAX_TOKENS": "--max-tokens",
    "WORKERS": "--workers",
    "SUBWORDS": "--subwords",
    "SOURCE_LANG": "--source-lang",
    "TARGET_LANG": "--target-lang",
    "MERGES": "--merges",
    "TARGET_UNITS": "--units",
    "WMT16_MIRROR": "--mirror",
    "AVERAGE": "--average",
    "BEAM": "--beam",
    "LENPEN": "--lenpen",
    "BATCH": "--sentences",
    "LENGTHS": "--lengths",
    "BYTES": "--bytes",
    "CONTEXT": "--context",
    "GAMMA": "--weight",
}
_SWITCHES = {
    "CPU": {"1": ["--cpu"]},
    "FP16": {"0": ["--no-fp16"]},
    "QUIET": {"1": ["--quiet"]},
    "DRY_RUN": {"1": ["--dry-run"]},
    "ABSOLUTE": {"0": ["--no-absolute"], "1": ["--absolute"]},
    "LOWERCASE": {"0": ["--keep-case"]},
}
_SIZES = "PRESET EMBEDDING TIE AUGMENTED_LOSS INTER_DIM SHARE FACTORIZED_DIM MAX_EPOCH SEED CPU"
_TRAIN = f"{_SIZES} MAX_UPDATE EFFECTIVE_TOKENS MAX_TOKENS WORKERS FP16 QUIET DRY_RUN"
#: By recipe and script, the variables that it knew.
KNOWN = {
    ("translation", "prepare"): "PRESET SUBWORDS SOURCE_LANG TARGET_LANG MERGES WORKERS WMT16_MIRROR",
    ("translation", "train"): _TRAIN,
    ("translation", "evaluate"): "AVERAGE BEAM LENPEN BATCH CPU",
    ("translation", "demo"): "",
    ("translation", "download_wmt16"): "WMT16_MIRROR",
    ("headlines", "prepare"): "PRESET TARGET_UNITS MERGES LOWERCASE WORKERS",
    ("headlines", "train"): f"{_TRAIN} LENGTH ABSOLUTE",
    ("headlines", "generate"): "LENGTHS BEAM AVERAGE BATCH CPU",
    ("headlines", "evaluate"): "LENGTHS BYTES",
    ("language_model", "prepare"): "",
    ("language_model", "train"): f"{_SIZES} TEMPERATURE QUIET DRY_RUN",
    ("language_model", "evaluate"): "CONTEXT CPU",
    ("language_model", "all"): "PRESET INTER_DIM MAX_EPOCH SEED CPU TEMPERATURE GAMMA",
}


def arguments(recipe: str, script: str, given: list[str], environ: Mapping[str, str]) -> list[str]:
    """The words behind ``fairseq-alone`` that say the same as a script's arguments and variables.

    Args:
        given: the arguments of the script.
        environ: variables; an empty one is none.

    Raises:
        UserError: a variable that is a switch is not 0 or 1.
    """
    from fairseq_alone.errors import UserError

    flags = []
    for name in KNOWN[recipe, script].split():
        value = environ.get(name)
        if not value:
            continue
        if name in _SWITCHES and value not in ("0", "1"):
            raise UserError(f"{name} must be 0 or 1, got '{value}'")
        flags += _SWITCHES[name].get(value, []) if name in _SWITCHES else [_VALUES[name], *_words(name, value)]
    if script == "prepare":
        places, rest = given[:2], given[2:]
        flags += ["--recipe", recipe]
        if recipe == "headlines" and rest:
            flags += ["--duc", *rest]
            rest = []
        return [script, *places, *rest, *flags]
    if script == "evaluate" and recipe != "translation":
        return [script, *given, *flags]
    if script == "train" and recipe != "language_model":
        # As the scripts did; the command's own defaults are others.
        flags += ["--start", "random", *([] if environ.get("EMBEDDING") else ["--embedding", "alone_share"])]
    if script in ("train", "evaluate", "generate"):
        return [script, *given[:2], *flags, "--", *given[2:]]
    return [{"all": "language-models", "download_wmt16": "download-wmt16"}.get(script, script), *given, *flags]


def _words(name: str, value: str) -> list[str]:
    return value.split() if name == "LENGTHS" else [value]


def main() -> int:
    """Run the command that took the place of a script. Returns its exit status."""
    from fairseq_alone.cli import main as run
    from fairseq_alone.errors import UserError

    recipe, script, *given = sys.argv[1:]
    try:
        words = arguments(recipe, script, given, os.environ)
    except UserError as error:
        print(f"{script}.sh: error: {error}", file=sys.stderr)
        return 1
    return run(words)


if __name__ == "__main__":
    sys.exit(main())
