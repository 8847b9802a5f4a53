"""Ctrl-C, SIGTERM and a closed terminal end a command with one sentence, once its processes are stopped."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator

# A shell's status after a signal.
_STATUS = {number: 128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}


@contextlib.contextmanager
def explained(sentence: Callable[[], str]) -> Iterator[None]:
    """Exit with 130 after Ctrl-C, 143 after SIGTERM; ``sentence`` says then what is saved and how to go on."""
    with _signals_as_exit():
        try:
            yield
        except KeyboardInterrupt:
            print(f"\nstopped: {sentence()}", file=sys.stderr)
            sys.exit(_STATUS[signal.SIGINT])
        except SystemExit as end:
            if end.code in _STATUS.values():
                print(f"stopped: {sentence()}", file=sys.stderr)
            raise


@contextlib.contextmanager
def _signals_as_exit() -> Iterator[None]:
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            # nohup ignores SIGHUP, and so do we then.
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, lambda number, _: sys.exit(_STATUS[signal.Signals(number)]))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
