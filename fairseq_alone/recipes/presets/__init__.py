"""What differs between presets, as data: one TOML file for each recipe, in this folder.

TOML, because a user of fairseq changes flags and sizes, not programs: ``fairseq-alone prepare --presets MY.toml`` adds
presets of the same form, which inherit ``[every]``.
"""

import tomllib
from pathlib import Path

from fairseq_alone.errors import UserError

FOLDER = Path(__file__).parent
RECIPES = ("translation", "headlines", "language_model", "word_vectors")

#: The user's own presets, copied by prepare, in the work folder.
OWN_PRESETS = "presets.toml"

_SHARED = "every"
_OPTIONAL = {"shape", "training", "embedding", "embed_dim", "hardware", "expected"}


class Preset(dict):
    """The values of one preset by name. Numbers with a point are text, as they are written.

    Args:
        name: of the preset.
        values: as in the file.

    Raises:
        UserError: on reading a value that the preset does not have.
    """

    def __init__(self, name: str, values: dict):
        super().__init__(values)
        self.name = name

    def __missing__(self, key: str) -> dict:
        if key in _OPTIONAL:
            return {}
        raise UserError(f"the preset {self.name} has no {key}; add it to [{self.name}] or [{_SHARED}] of its file")

    @property
    def notes(self) -> list[str]:
        """What it needs and what comes out, for people."""
        return [f"{name}: {self[name]}" for name in ("hardware", "expected") if self[name]]

    @property
    def embed_dim(self) -> int:
        """D_e, of the shape or, where the shape is the architecture's own, beside it."""
        return self["shape"].get("embed-dim") or self["embed_dim"]

    @property
    def shape_flags(self) -> list[str]:
        """The shape, for both sides."""
        return [
            word
            for name, value in self["shape"].items()
            for side in ("encoder", "decoder")
            for word in flag(f"{side}-{name}", value)
        ]

    def training_flags(self, embedding: str) -> list[str]:
        """The training's, then those of a kind of embedding."""
        flags = self["training"] | self["embedding"].get(embedding, {})
        return [word for name, value in flags.items() for word in flag(name, value)]


def flag(name: str, value: object) -> list[str]:
    """``lr``, ``0.1`` becomes ``--lr 0.1``; a true value has no word of its own, and false is no flag."""
    if isinstance(value, bool):
        return [f"--{name}"] if value else []
    return [f"--{name}", str(value)]


def read_presets(recipe: str, own: Path | None = None) -> dict[str, Preset]:
    """All presets of a recipe by name, the package's own and those of a file.

    Raises:
        UserError: the file cannot be read, or has a key that no preset of the recipe has.
    """
    shared: dict = {}
    named: dict[str, dict] = {}
    known = None
    for path in (FOLDER / f"{recipe}.toml", own):
        if path is None:
            continue
        tables = _read(path)
        if known is None:
            known = {key for table in tables.values() for key in table} | _OPTIONAL
        for name, table in tables.items():
            unknown = [key for key in table if key not in known]
            if unknown:
                raise UserError(f"{path}: [{name}] has {unknown[0]}, which no preset of {recipe} has")
        shared |= tables.pop(_SHARED, {})
        named |= tables
    return {name: Preset(name, _merged(shared, values)) for name, values in named.items()}


def read_preset(recipe: str, name: str, own: Path | None = None) -> Preset:
    """One preset.

    Raises:
        UserError: there is none of this name; the sentence lists those that there are.
    """
    presets = read_presets(recipe, own)
    if name not in presets:
        raise UserError(f"--preset must be one of {', '.join(presets)} in the recipe {recipe}, got '{name}'")
    return presets[name]


def _merged(shared: dict, own: dict) -> dict:
    """A preset's own values before those of every preset, in tables within tables as well."""
    merged = shared | own
    for name in shared.keys() & own.keys():
        if isinstance(shared[name], dict) and isinstance(own[name], dict):
            merged[name] = _merged(shared[name], own[name])
    return merged


def _read(path: Path) -> dict:
    try:
        with open(path, "rb") as file:
            # As text: 1.0 stays 1.0 in a command.
            tables = tomllib.load(file, parse_float=str)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as TOML ({error})") from error
    if not all(isinstance(table, dict) for table in tables.values()):
        raise UserError(f"{path}: every value must stand below the [NAME] of a preset")
    return tables
