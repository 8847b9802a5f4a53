"""Runs commands side by side, hands on what they print line by line, and leaves none of them behind."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_POLL_SECONDS = 0.2
_SECONDS_TO_END = 10


@dataclass(frozen=True)
class Job:
    """One command.

    Args:
        command: its words.
        on_line: gets each line that it prints to either stream, with its ending.
        keep_open: files that it, too, keeps open, for a lock that lasts as long as it lives.
        environment: variables that it gets where the user has not set them.
    """

    command: list[str]
    on_line: Callable[[str], None]
    keep_open: tuple = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def run_jobs(jobs: list[Job]) -> int:
    """Run all until they have ended. When one fails, the others are stopped: they would wait for it forever.

    Whatever ends this function, an interruption or an error of ``on_line``, ends the processes and their children.

    Returns:
        the exit status of the first that failed, or 0. Negative: the signal that it died of.
    """
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        processes = []
        for job in jobs:
            process = stack.enter_context(
                stopped_at_the_end(
                    job.command,
                    job.environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=[file.fileno() for file in job.keep_open],
                )
            )
            processes.append(process)
            assert process.stdout is not None  # a pipe
            selector.register(process.stdout, selectors.EVENT_READ, _Lines(job.on_line))
        while True:
            events = selector.select(_POLL_SECONDS) if selector.get_map() else []
            for key, _ in events:
                chunk = os.read(key.fd, 65536)
                key.data.add(chunk)
                if not chunk:
                    selector.unregister(key.fileobj)
            states = [process.poll() for process in processes]
            failed = next((state for state in states if state), None)
            if failed is not None:
                for process in processes:
                    _stop(process)
                _drain(selector)
                return failed
            # A grandchild may hold the pipe open longer than the process lives.
            if not events and all(state == 0 for state in states):
                return 0
            if not selector.get_map():
                time.sleep(_POLL_SECONDS)


class _Lines:
    """Puts chunks of bytes together to lines."""

    def __init__(self, on_line: Callable[[str], None]):
        self.on_line, self.rest = on_line, b""

    def add(self, chunk: bytes) -> None:
        """The next chunk; an empty one is the end."""
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        for line in lines:
            self.on_line(line.decode("utf-8", "replace") + "\n")
        if not chunk and self.rest:
            self.on_line(self.rest.decode("utf-8", "replace"))
            self.rest = b""


def _drain(selector: selectors.BaseSelector) -> None:
    """Hand on what the processes printed before they ended."""
    while events := selector.select(0):
        for key, _ in events:
            chunk = os.read(key.fd, 65536)
            key.data.add(chunk)
            if not chunk:
                selector.unregister(key.fileobj)
        if not selector.get_map():
            return


@contextlib.contextmanager
def stopped_at_the_end(
    command: list[str], defaults: Mapping[str, str] | None = None, **options: Any
) -> Iterator[subprocess.Popen]:
    """Start a command; whatever ends the block ends it and all of its children.

    Args:
        command: its words.
        defaults: variables of its environment that the user may have set otherwise.
        options: of ``subprocess.Popen``.
    """
    # Lines come when they are printed. A session of its own: Ctrl-C reaches this process only, which then stops all of
    # the session.
    environment = {**(defaults or {}), **os.environ, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, env=environment, **options)
    try:
        yield process
    finally:
        _stop(process)
        if process.stdout:
            process.stdout.close()


def _stop(process: subprocess.Popen) -> None:
    """End a process and all of its session; what does not end by itself is killed."""
    _signal_session(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_SECONDS_TO_END)
    _signal_session(process, signal.SIGKILL)
    process.wait()


def _signal_session(process: subprocess.Popen, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
