"""Which versions of Python and fairseq this package runs with.

Importing it needs nothing but the standard library, so that a wrong Python or fairseq gets a sentence, not a traceback
from somewhere else.
"""

import importlib.util
import logging
import os
import re
import sys

from fairseq_alone.errors import UserError

PYTHON_VERSIONS = ((3, 11), (3, 12))
FAIRSEQ_REQUIREMENT = "fairseq-fixed==0.12.3.1"
_INSTALL = f"install torch first, then `pip install --no-build-isolation {FAIRSEQ_REQUIREMENT}`"


class UnsupportedVersionError(ImportError):
    """Python or fairseq is one that this package does not run with."""


def check_versions() -> bool:
    """Tell whether fairseq is there, without importing it.

    Raises:
        UnsupportedVersionError: Python or fairseq has the wrong version; the sentence says what to install.
    """
    if sys.version_info[:2] not in PYTHON_VERSIONS:
        known = " or ".join(f"{major}.{minor}" for major, minor in PYTHON_VERSIONS)
        found = ".".join(str(number) for number in sys.version_info[:2])
        raise UnsupportedVersionError(f"fairseq_alone needs Python {known}, but this is Python {found}.")
    # fairseq's import suggests a package that nothing here needs.
    logging.getLogger("fairseq.tasks.text_to_speech").setLevel(logging.WARNING)
    version = fairseq_version()
    if version is None:
        return False
    if tuple(int(number) for number in re.findall(r"\d+", version)[:3]) < (0, 12, 3):
        raise UnsupportedVersionError(
            f"fairseq_alone does not run with fairseq {version}, whose release is broken: "
            f"`pip uninstall fairseq`, then {_INSTALL}."
        )
    return True


def fairseq_version() -> "str | None":
    """The version of the fairseq that would be imported, read from its files; None when there is no fairseq."""
    spec = importlib.util.find_spec("fairseq")
    if spec is None or not spec.submodule_search_locations:
        return None
    for folder in spec.submodule_search_locations:
        for name in ("version.py", "version.txt"):
            path = os.path.join(folder, name)
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    match = re.search(r"\d+\.\d+[\w.]*", file.read())
                if match:
                    return match.group()
    return None


def require_fairseq() -> None:
    """Raise UserError with one sentence when fairseq is not installed."""
    if not check_versions():
        raise UserError(f"fairseq is not installed: {_INSTALL}.")
