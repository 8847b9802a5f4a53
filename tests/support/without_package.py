"""A command of stock fairseq where this package cannot be imported: ``cli_main`` with the tool and its arguments."""

import importlib
import sys


class Blocker:
    """Finds no module of the package."""

    def find_spec(self, name, path=None, target=None):
        """Part of Python's protocol for finding modules."""
        if name.split(".")[0] == "fairseq_alone":
            raise ImportError(f"{name} is not installed here")


def cli_main() -> None:
    """Run ``fairseq-TOOL`` for the first argument TOOL."""
    assert not any(name.split(".")[0] == "fairseq_alone" for name in sys.modules)
    sys.meta_path.insert(0, Blocker())
    tool = sys.argv.pop(1)
    importlib.import_module(f"fairseq_cli.{tool}").cli_main()
