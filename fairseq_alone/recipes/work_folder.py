"""WORK, the folder of one set of prepared data, and ``prepare.settings``, which says how it was made."""

import contextlib
import fcntl
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success
from fairseq_alone.recipes.presets import OWN_PRESETS, Preset, read_preset

_SETTINGS = "prepare.settings"

#: The recipe that its folders name in their settings, as RECIPE.
WORD_VECTORS = "word_vectors"
_LOCK = ".prepare.lock"

# The names of settings that are no flag of the same name.
_TOLD = {"TARGET_UNITS": "--units", "LOWERCASE": "lower case", "FORM": "form of the corpus"}


@dataclass(frozen=True)
class WorkFolder:
    """Prepared data.

    Args:
        path: absolute.
        settings: of ``prepare.settings``, by name.
    """

    path: Path
    settings: dict[str, str]

    @property
    def recipe(self) -> str:
        """The recipe that it was prepared with."""
        return recipe_of(self.settings)

    @property
    def source_lang(self) -> str:
        """Suffix of the source side."""
        return self.settings["SOURCE_LANG"]

    @property
    def target_lang(self) -> str:
        """Suffix of the target side."""
        return self.settings["TARGET_LANG"]

    @property
    def own_presets(self) -> Path | None:
        """The user's own presets, if it was prepared with some."""
        path = self.path / OWN_PRESETS
        return path if path.is_file() else None

    def preset(self, name: str | None = None) -> Preset:
        """The preset of this name, or that it was prepared with."""
        return read_preset(self.recipe, name or self.settings["PRESET"], self.own_presets)

    def require(self, *names: str) -> None:
        """Raise UserError when a file that prepare makes is missing."""
        for name in names:
            if not (self.path / name).exists():
                raise UserError(f"{self.path / name} is missing; run fairseq-alone prepare again")


def recipe_of(settings: dict[str, str]) -> str:
    """The recipe that wrote these settings."""
    if "RECIPE" in settings:
        return settings["RECIPE"]
    # Recipes of before are told by what they alone have.
    if "SUBWORDS" in settings:
        return "translation"
    return "headlines" if "TARGET_UNITS" in settings else "language_model"


def open_work(path: Path | str) -> WorkFolder:
    """A prepared folder.

    Raises:
        UserError: prepare has not been there.
    """
    file = Path(path) / _SETTINGS
    if not Path(path).is_dir():
        raise UserError(f"{path}: there is no such folder; fairseq-alone prepare makes it")
    if not file.is_file():
        raise UserError(f"{file} is missing; run fairseq-alone prepare first")
    return WorkFolder(Path(path).resolve(), _by_name(file.read_text(encoding="utf-8").splitlines()))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep others out of WORK, and make it. The lock ends with this process and its children.

    Raises:
        UserError: another prepare is at work there.
    """
    path.mkdir(parents=True, exist_ok=True)
    with open(path / _LOCK, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"another fairseq-alone prepare is running in {path}") from None
        yield


def check_settings(path: Path, settings: list[str], outcomes: tuple[str, ...]) -> None:
    """Where one of the outcomes is, the settings must be the same as when it was made.

    Raises:
        UserError: they are not; the sentence names what differs, a file of the corpus by its name.
    """
    if not any((path / outcome).exists() for outcome in outcomes):
        return
    if not (path / _SETTINGS).is_file():
        raise UserError(f"{path} has data but no {_SETTINGS}; use a new WORK folder")
    old = (path / _SETTINGS).read_text(encoding="utf-8").splitlines()
    recipe = recipe_of(_by_name(old))
    if recipe != recipe_of(_by_name(settings)):
        raise UserError(f"{path} has the data of the recipe {recipe}; each recipe needs a WORK folder of its own")
    difference = describe_difference(old, settings)
    if difference:
        raise UserError(
            f"{path} was made with other settings or data ({difference}); use a new WORK folder, or delete it"
        )


def describe_difference(old: list[str], new: list[str]) -> str:
    """What differs between two lists of settings, in words; empty if nothing does."""
    before, now = _by_name(old), _by_name(new)
    parts = []
    for name in before | now:
        values = before.get(name), now.get(name)
        if values[0] == values[1]:
            continue
        if all(value and re.fullmatch(r"\d+ \d+", value) for value in values):
            parts.append(f"{name} is not the file it was")
        else:
            # Capitals are what a flag was called as a variable.
            told = _TOLD.get(name, f"--{name.lower().replace('_', '-')}" if name.isupper() else name)
            parts += [f"{when} {told}={value}" for when, value in zip(("was", "now"), values, strict=True) if value]
    return "; ".join(parts)


def _by_name(settings: list[str]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in settings if "=" in line)


def write_settings(path: Path, settings: list[str]) -> None:
    """Write ``prepare.settings``, only when bad data has been refused: mended data must not count as changed."""
    with replaced_on_success(str(path / _SETTINGS)) as part:
        Path(part).write_text("".join(f"{line}\n" for line in settings), encoding="utf-8")
