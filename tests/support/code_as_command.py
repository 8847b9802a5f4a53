"""``python -c CODE`` as a command of the server: ``cli_main`` with the code and its arguments."""

import sys


def cli_main() -> None:
    """Run the code as Python would."""
    code = sys.argv.pop(1)
    sys.argv[0] = "-c"
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
