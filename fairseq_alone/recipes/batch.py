"""The arithmetic of the batch: an update sees the same amount of text on every machine."""

from dataclasses import dataclass

from fairseq_alone.errors import UserError
from fairseq_alone.recipes.values import with_commas
from fairseq_alone.recipes.workers import Workers

# With fewer tokens than this, a worker waits for the others more than it works.
_LEAST_TOKENS = 256


@dataclass(frozen=True)
class Batch:
    """What each worker does in an update.

    Args:
        size: tokens, or sequences, of one micro-batch of one worker.
        update_freq: micro-batches of one update.
        sentences: for the user.
    """

    size: int
    update_freq: int
    sentences: tuple[str, ...]


def divide(wanted: int, most: int, workers: Workers, unit: str) -> Batch:
    """Share the batch of one update between workers; where it does not divide, it is rounded down.

    Args:
        wanted: tokens, or sequences, of one update.
        most: that fit on one worker at a time.
        unit: "tokens" or "sequences".

    Raises:
        UserError: nothing is left for a worker.
    """
    count = workers.count
    update_freq = -(-wanted // (count * most))
    size = wanted // (count * update_freq)
    if size < 1:
        raise UserError(f"{count} workers cannot share the {wanted} {unit} of an update; use fewer (--workers)")
    if unit == "tokens" and size < _LEAST_TOKENS <= most:
        raise UserError(
            f"{count} workers would get {size} tokens each; use fewer (--workers) or a larger --effective-tokens"
        )
    reached = count * size * update_freq
    sentences = []
    if reached != wanted:
        sentences.append(
            f"{count} workers do not divide {with_commas(wanted)} {unit}: rounded down to {with_commas(reached)}"
        )
    sentences.append(
        f"effective batch {with_commas(reached)} {unit} = {count} {'worker' if count == 1 else 'workers'} x "
        f"{with_commas(size)} {unit} x update-freq {update_freq} ({workers.hardware}, {workers.where})"
    )
    return Batch(size, update_freq, tuple(sentences))
