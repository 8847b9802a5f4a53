"""How far a training is, from the lines that fairseq-train prints with ``--log-format json``."""

from fairseq_alone.cli.training_log import json_report


class Progress:
    """Reads a training's lines as they come.

    Args:
        name: of the run.
        max_epoch, max_update: where the training ends; 0 = no limit.
    """

    def __init__(self, name: str, max_epoch: int, max_update: int):
        self.name, self.max_epoch, self.max_update = name, max_epoch, max_update
        self.epoch = self.updates = 0
        self.words_per_second: float | None = None
        self.valid_ppl: float | None = None
        self._done = 0.0  # share of the training, 0 to 1
        self._first: tuple[float, float] | None = None  # (share, seconds) that the speed is measured from
        self._pace: float | None = None  # seconds for the whole training
        self._updates_per_epoch: float | None = None

    def read(self, line: str) -> bool:
        """Take a line of the log; tell whether an epoch has just been validated."""
        report = json_report(line)
        if "num_updates" in report and "update" in report:
            self.epoch, self.updates = report["epoch"], int(report["num_updates"])
            self.words_per_second = float(report["wps"])
            self._measure(report["update"], float(report["wall"]))
        elif "train_num_updates" in report and "train_wall" in report:
            self.epoch, self.updates = report["epoch"], int(report["train_num_updates"])
            self.words_per_second = float(report["train_wps"])
            self._measure(report["epoch"], float(report["train_wall"]))
            self._updates_per_epoch = self.updates / self.epoch
            # The validation of an epoch is reported before its training; where none was, there is none.
            return self.valid_ppl is None
        elif "valid_ppl" in report:
            self.epoch, self.updates = report["epoch"], int(report["valid_num_updates"])
            self.valid_ppl = float(report["valid_ppl"])
            if self._updates_per_epoch:
                self._reach(self.updates / self._updates_per_epoch)
            return True
        return False

    def _measure(self, epochs: float, seconds: float) -> None:
        """Work out the speed of this process, and how far it is."""
        self._reach(epochs)
        if self._first is None:
            # fairseq's clock starts with the process; an interrupted training begins here in the middle.
            self._first = (0.0, 0.0) if epochs <= 1 else (self._done, seconds)
        done, since = self._done - self._first[0], seconds - self._first[1]
        if done > 0 and since > 0:
            self._pace = since / done

    def _reach(self, epochs: float) -> None:
        shares = [epochs / self.max_epoch] if self.max_epoch else []
        shares += [self.updates / self.max_update] if self.max_update else []
        self._done = min(max(shares, default=0.0), 1.0)

    def text(self) -> str:
        """One line for people, the most wanted first: a narrow terminal cuts it."""
        if not self.updates:
            return f"{self.name}: starting"
        epoch = f"epoch {self.epoch} of {self.max_epoch}" if self.max_epoch else f"epoch {self.epoch}"
        updates = f"{self.updates:,} of {self.max_update:,} updates" if self.max_update else f"{self.updates:,} updates"
        parts = [f"{self.name}: {epoch}"]
        if self._pace is not None:
            parts.append(f"{duration(self._pace * (1 - self._done))} left")
        if self.valid_ppl is not None:
            parts.append(f"valid ppl {self.valid_ppl:.4g}")
        if self.words_per_second is not None:
            parts.append(f"{self.words_per_second:,.0f} words/s")
        return ", ".join([*parts, updates])


def duration(seconds: float) -> str:
    """``"40 s"``, ``"12 min"``, ``"3 h 5 min"``, ``"2 d 3 h"``."""
    seconds = round(seconds)
    if seconds < 100:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"
