"""Runs commands of fairseq in forks of one process that has imported fairseq: for a small test, importing takes longer
than all the rest.

A fork does what the installed command does: it imports the module of the command and calls its ``cli_main``. The plugin
is not imported before the fork, so each command finds it by ``--user-dir`` itself.
"""

import importlib
import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path


class CommandServer:
    """The process, seen from the tests: it starts with the first command and ends with the tests.

    Args:
        environment: that of the commands.
        folder: where they run.
    """

    def __init__(self, environment: dict, folder: Path):
        self.settings = {"env": environment, "cwd": folder}
        self.process = None

    def run(self, module: str, arguments: list[str], standard_input: str = "") -> subprocess.CompletedProcess:
        """Run ``module.cli_main()`` with these arguments, as :func:`subprocess.run` would."""
        if self.process is None:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            self.process = subprocess.Popen([sys.executable, __file__], **pipes, **self.settings)
        with tempfile.TemporaryDirectory() as name:
            streams = [Path(name, stream) for stream in ("stdin", "stdout", "stderr")]
            for stream in streams:
                stream.write_text(standard_input if stream.name == "stdin" else "")
            self.process.stdin.write(json.dumps([module, arguments, list(map(str, streams))]) + "\n")
            self.process.stdin.flush()
            status = self.process.stdout.readline()
            _, output, errors = (stream.read_text() for stream in streams)
        return subprocess.CompletedProcess([module, *arguments], int(status), output, errors)


def next_command() -> tuple[str, list[str], list[str]] | None:
    """Serve until the tests end: then None. A fork returns with the command that it is to run."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            return json.loads(line)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


def main() -> None:
    """Import fairseq, then serve; in a fork, run one command and end as it does."""
    for module in ("checkpoint_utils", "options", "sequence_generator", "tasks", "trainer"):
        importlib.import_module(f"fairseq.{module}")
    # PyTorch imports its compiler with the first optimizer, at half of the cost of a small training.
    importlib.import_module("torch._dynamo")
    # Each command sets up the log itself, but not where a handler is: fairseq's modules add one when they are imported.
    logging.getLogger().handlers.clear()
    command = next_command()
    if command is None:
        return
    module, arguments, streams = command
    for descriptor, path in enumerate(streams):
        opened = os.open(path, os.O_WRONLY | os.O_APPEND if descriptor else os.O_RDONLY)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.argv = [module, *arguments]
    sys.path[0] = os.getcwd()
    importlib.import_module(module).cli_main()


if __name__ == "__main__":
    main()
