"""Runs commands in forks of a process that has imported fairseq: for a small test, importing takes longer than all the
rest.

A fork does what the installed command does: it imports the module of the command and calls its ``cli_main``. The plugin
is not imported before the fork, so each command finds it by ``--user-dir`` itself.
"""

import atexit
import gc
import importlib
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

# What fairseq and the plugin import. PyTorch imports its compiler with the first optimizer, at twice the cost of a
# small training.
LIBRARIES = ("torch._dynamo", "torch.distributed.fsdp", "hydra.experimental", "sacrebleu", "sklearn.cluster")
# What fairseq's commands import; not they themselves: each sets up the log when it is imported.
MODULES = ("binarizer", "checkpoint_utils", "options", "quantization_utils", "sequence_generator", "tasks", "trainer")
FAIRSEQ = tuple(f"fairseq.{module}" for module in MODULES)


class CommandServer:
    """The processes, seen from the tests: they start with the first command that needs them, and end with the tests.

    Args:
        environment: that of the commands.
        folder: where they run.
        stages: each is a process, a fork of the one before, and has the names of modules that it imports in addition.
    """

    def __init__(self, environment: dict, folder: Path, stages: Sequence[Sequence[str]] = (LIBRARIES, FAIRSEQ)):
        self.settings = {"env": environment, "cwd": folder}
        self.stages = stages
        self.process = None

    def run(
        self, module: str, arguments: list[str], standard_input: str = "", stage: int = -1
    ) -> subprocess.CompletedProcess:
        """Run ``module.cli_main()`` with these arguments in a fork of a stage, as :func:`subprocess.run` would."""
        (done,) = self.run_together(module, [arguments], standard_input, stage)
        return done

    def run_together(
        self, module: str, processes: list[list[str]], standard_input: str = "", stage: int = -1
    ) -> list[subprocess.CompletedProcess]:
        """Run ``module.cli_main()`` in several processes at once: one for each list of arguments."""
        if self.process is None:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            command = [sys.executable, __file__, json.dumps(self.stages)]
            self.process = subprocess.Popen(command, **pipes, **self.settings)
        with tempfile.TemporaryDirectory() as name:
            commands = []
            for number, arguments in enumerate(processes):
                streams = [Path(name, f"{number}.{stream}") for stream in ("stdin", "stdout", "stderr")]
                for stream in streams:
                    stream.write_text(standard_input if stream.suffix == ".stdin" else "")
                commands.append([module, arguments, list(map(str, streams))])
            self.process.stdin.write(json.dumps([range(len(self.stages))[stage], commands]) + "\n")
            self.process.stdin.flush()
            statuses = json.loads(self.process.stdout.readline())
            return [
                subprocess.CompletedProcess([module, *arguments], status, *(Path(s).read_text() for s in streams[1:]))
                for status, (_, arguments, streams) in zip(statuses, commands, strict=True)
            ]


def serve(stages: list[list[str]], requests: TextIO, replies: TextIO) -> tuple[str, list[str], list[str]] | None:
    """Import the first stage's modules, then serve until the tests end: then None.

    A fork returns with the command that it is to run. What asks for a later stage goes on to its process.
    """
    for module in stages[0]:
        importlib.import_module(module)
    # fairseq's modules add a handler when they are imported, and where one is, no command sets up its own.
    logging.getLogger().handlers.clear()
    # The forks share the memory of what is imported until they write to it, which the garbage collector would do.
    gc.collect()
    gc.freeze()
    later = None
    for line in requests:
        stage, commands = json.loads(line)
        if stage == 0:
            children = []
            for command in commands:
                children.append(os.fork())
                if children[-1] == 0:
                    return command
            reply = json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
        else:
            if later is None:
                (their_requests, our_requests), (our_replies, their_replies) = os.pipe(), os.pipe()
                if os.fork() == 0:
                    # Open in the process before only, so that its end is the end of the requests.
                    os.close(our_requests)
                    return serve(stages[1:], os.fdopen(their_requests), os.fdopen(their_replies, "w"))
                later = os.fdopen(our_requests, "w"), os.fdopen(our_replies)
            print(json.dumps([stage - 1, commands]), file=later[0], flush=True)
            reply = later[1].readline().strip()
        print(reply, file=replies, flush=True)
    return None


def status_of(module: str) -> int:
    """Run the command; returns its exit status, after printing what Python prints of an error."""
    try:
        importlib.import_module(module).cli_main()
    except SystemExit as ending:
        if ending.code is None or isinstance(ending.code, int):
            return ending.code or 0
        print(ending.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def main() -> None:
    """Serve; in a fork, run one command and end as it does."""
    command = serve(json.loads(sys.argv[1]), sys.stdin, sys.stdout)
    if command is None:
        return
    module, arguments, streams = command
    for descriptor, path in enumerate(streams):
        opened = os.open(path, os.O_WRONLY | os.O_APPEND if descriptor else os.O_RDONLY)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.argv = [module, *arguments]
    sys.path.insert(0, os.getcwd())
    status = status_of(module)
    # Ends like Python, but does not take the imported modules apart, which takes longer than a small command.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
