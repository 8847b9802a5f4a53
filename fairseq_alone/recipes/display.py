"""Shows how far trainings are: lines that change in place in a terminal, new lines now and then elsewhere."""

import shutil
import sys
import time
from typing import TextIO

from fairseq_alone.recipes.progress import Progress

_SECONDS_BETWEEN_LINES = 300


class Display:
    """One line for each training.

    Args:
        trainings: whose texts are shown.
        stream: where; default: standard error.
    """

    def __init__(self, trainings: list[Progress], stream: TextIO | None = None):
        self.trainings = trainings
        self.stream = stream or sys.stderr
        self._in_place = self.stream.isatty()
        self._shown: list[str] = []
        self._last_line = dict.fromkeys(trainings, time.monotonic())

    def changed(self, training: Progress, has_validated: bool) -> None:
        """A training has gone on."""
        if self._in_place:
            self._draw()
            return
        now = time.monotonic()
        if has_validated or now - self._last_line[training] > _SECONDS_BETWEEN_LINES:
            self._last_line[training] = now
            print(training.text(), file=self.stream, flush=True)

    def close(self) -> None:
        """Leave the last state behind, and the next output below it."""
        self._shown = []

    def _draw(self) -> None:
        width = shutil.get_terminal_size().columns - 1
        texts = [training.text()[:width] for training in self.trainings]
        if texts == self._shown:
            return
        # Up to the first of the lines, then each of them anew.
        up = f"\x1b[{len(self._shown)}A" if self._shown else ""
        self.stream.write(up + "".join(f"\r\x1b[K{text}\n" for text in texts))
        self.stream.flush()
        self._shown = texts
