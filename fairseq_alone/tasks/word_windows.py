"""A text as batches for models of word vectors. What is drawn for one depends on seed, epoch and its number alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from fairseq.data import FairseqDataset
from torch import Tensor
from torch.utils.data import Dataset

from fairseq_alone.corpus.windows import (
    Predicted,
    Rows,
    WindowKind,
    drawn_windows,
    next_words,
    sentence_batches,
    subsampled,
    whole_windows,
)


class Sentences(FairseqDataset):
    """All tokens of a data set of sentences. Gets no batches itself: see :class:`WordWindows`.

    Args:
        tokens: (N,), integer; each sentence ends with the dictionary's end of sentence.
        training: whether it is text to train on; of other text, every epoch is alike.
    """

    def __init__(self, tokens: np.ndarray, training: bool):
        self.tokens = tokens
        self.training = training

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Symbols:
    """Symbols of the dictionary that are no words."""

    padding: int
    end: int
    unknown: int


class WordWindows(Dataset):
    """Batches of a text: an item is a whole batch, in the form that the model's kind of windows needs.

    ``net_input`` has ``src_tokens`` (B, T + 2c), and ``left`` and ``right`` (B, T) where windows are drawn; ``target``
    is (B, T) words, or (B, T, 2c) those around each. Before the next word they are (B, n - 2 + T) both. What is no
    word to predict is padding. ``contexts`` has the shape of ``target``: the word that a target is predicted from or
    comes after.

    Args:
        text: the tokens.
        kind: the windows of the model.
        kept: (V,), of :func:`~fairseq_alone.corpus.windows.kept_share`; None where windows are not drawn and no word is
            left out.
        max_tokens: of the text, in a batch.
        length: T, words of a row.
        symbols: those that are no words.
        seed: of what is drawn, at least 0.
    """

    def __init__(
        self,
        text: Sentences,
        kind: WindowKind,
        kept: np.ndarray | None,
        max_tokens: int,
        length: int,
        symbols: Symbols,
        seed: int,
    ):
        self.text, self.kind, self.kept = text, kind, kept
        self.length, self.symbols, self.seed = length, symbols, seed
        self.epoch = 1
        if kind.predicted is Predicted.NEXT:
            self._cuts = np.append(np.arange(0, len(text), max_tokens), len(text))
        else:
            self._cuts = sentence_batches(np.flatnonzero(text.tokens == symbols.end) + 1, max_tokens)

    def set_epoch(self, epoch: int) -> None:
        """fairseq tells which epoch begins."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._cuts) - 1

    def __getitem__(self, number: int) -> dict[str, Any]:
        start, stop = (int(cut) for cut in self._cuts[number : number + 2])
        if self.kind.predicted is Predicted.NEXT:
            return self._batch(number, *self._next(start, stop))
        tokens = self.text.tokens[start:stop]
        end, unknown = self.symbols.end, self.symbols.unknown
        if self.kept is None:
            rows = whole_windows(tokens, end, self.kind.reach, self.length)
            return self._batch(number, *self._around(rows))
        generator = np.random.default_rng([self.seed, self.epoch if self.text.training else 0, number])
        if self.kind.drawn:
            rows = drawn_windows(tokens, end, unknown, self.kept, self.kind.reach, self.length, generator)
        else:
            left = subsampled(tokens, end, unknown, self.kept, generator)
            rows = whole_windows(left, end, self.kind.reach, self.length)
        return self._batch(number, *self._around(rows))

    def _next(self, start: int, stop: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        words, places = next_words(
            self.text.tokens, start, stop, self.symbols.end, self.kind.reach, min(self.length, stop - start)
        )
        targets = np.where(places < 0, self.symbols.padding, self.text.tokens[places])
        return {"src_tokens": words}, targets, words

    def _around(self, rows: Rows) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        reach, padding = self.kind.reach, self.symbols.padding
        inputs = {"src_tokens": rows.words}
        if rows.left is not None and rows.right is not None:
            inputs |= {"left": rows.left, "right": rows.right}
        centres = rows.words[:, reach : reach + self.length]
        if self.kind.predicted is Predicted.CENTRE:
            targets = np.where(rows.counted, centres, padding)
            return inputs, targets, rows.words[:, reach - 1 : reach - 1 + self.length]
        assert rows.left is not None
        assert rows.right is not None
        # (B, T, 2c): without the centre.
        around = np.delete(np.lib.stride_tricks.sliding_window_view(rows.words, 2 * reach + 1, axis=1), reach, axis=2)
        distance = np.delete(np.arange(-reach, reach + 1), reach)
        within = (distance >= -rows.left[..., None]) & (distance <= rows.right[..., None])
        targets = np.where(within, around, padding)
        return inputs, targets, np.broadcast_to(centres[..., None], targets.shape)

    def _batch(
        self, number: int, inputs: dict[str, np.ndarray], targets: np.ndarray, contexts: np.ndarray
    ) -> dict[str, Any]:
        return {
            "id": torch.tensor([number]),
            "nsentences": len(targets),
            "ntokens": int((targets != self.symbols.padding).sum()),
            "net_input": {name: _tensor(array) for name, array in inputs.items()},
            "target": _tensor(targets),
            "contexts": _tensor(contexts),
        }


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.astype(np.int64))


def whole_batch_or_none(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Collate: an item is a batch already. A worker that has none left gets an empty one, as fairseq gives it."""
    return items[0] if items else {}
