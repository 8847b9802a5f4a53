"""Ctrl-C and SIGTERM end a command with one sentence, once its processes are stopped."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def explained(sentence: Callable[[], str]) -> Iterator[None]:
    """Exit with 130 after Ctrl-C and 143 after SIGTERM; ``sentence`` says then what is saved and how to go on."""
    with _sigterm_as_exit():
        try:
            yield
        except KeyboardInterrupt:
            print(f"\nstopped: {sentence()}", file=sys.stderr)
            sys.exit(130)
        except SystemExit as end:
            if end.code == 143:
                print(f"stopped: {sentence()}", file=sys.stderr)
            raise


@contextlib.contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
