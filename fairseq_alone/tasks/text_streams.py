"""A long text as parallel streams, for truncated back-propagation through time."""

from typing import Any

import numpy as np
import torch
from fairseq import utils
from fairseq.data import FairseqDataset, data_utils
from torch.utils.data import Dataset

from fairseq_alone.corpus.binarized import words_end_to_end


class Text(FairseqDataset):
    """All tokens of a data set of sentences, one after the other. Gets no batches itself: see :class:`TextStreams`.

    Args:
        tokens: (N,), integer, the ends of sentences among them.
        training: whether it is text to train on; other text is read as one stream.
    """

    def __init__(self, tokens: np.ndarray, training: bool):
        self.tokens = tokens
        self.training = training

    @classmethod
    def of_sentences(cls, sentences: Any, training: bool) -> "Text":
        """Of fairseq's data set of sentences."""
        tokens = words_end_to_end(sentences)
        if tokens is None:
            # Of several files, or of an older kind.
            pieces = [sentences[number].numpy() for number in range(len(sentences))]
            tokens = np.concatenate(pieces) if pieces else np.zeros(0)
        return cls(tokens.astype(np.int32), training)

    def __len__(self) -> int:
        return len(self.tokens)


def read_text(task: Any, split: str, epoch: int, combine: bool) -> Text:
    """Read all tokens of a split, as fairseq finds it among the folders of a language modelling task.

    Args:
        task: with a dictionary.
        split: for example ``"train"``, which is text to train on.
        epoch: which of several folders its turn is.
        combine: take ``train1`` and so on for one text.

    Raises:
        FileNotFoundError: there is no such split.
    """
    paths = utils.split_paths(task.args.data)
    path = f"{paths[(epoch - 1) % len(paths)]}/{split}"
    sentences = data_utils.load_indexed_dataset(path, task.dictionary, task.args.dataset_impl, combine=combine)
    if sentences is None:
        raise FileNotFoundError(f"Dataset not found: {split} ({path})")
    return Text.of_sentences(sentences, split.startswith("train"))


class TextStreams(Dataset):
    """Batches of a text that is read by several workers, each with several streams. An item is a whole batch.

    The text is cut into as many parts of one length as there are streams on all workers, and padded behind the last.
    Worker ``w`` of ``W`` reads items ``w, w + W, w + 2 W, ...``: pieces of its own streams in their order, so a batch
    goes on where the worker's batch before ended. Every token is predicted once in an epoch.

    Args:
        text: the tokens.
        streams: B, of each worker.
        workers: W.
        length: T, tokens of a piece; the last piece of an epoch may be shorter.
        padding, start: padding, and what stands before the first token: the end of a sentence.
        tells_first: put ``first_piece`` into the input of the model.

    Raises:
        ValueError: there are fewer tokens than streams.
    """

    def __init__(
        self, text: Text, streams: int, workers: int, length: int, padding: int, start: int, tells_first: bool
    ):
        parts = streams * workers
        if len(text) < parts:
            raise ValueError(f"a text of {len(text)} tokens cannot be read as {parts} streams")
        self.streams, self.workers, self.length = streams, workers, length
        self.padding, self.tells_first = padding, tells_first
        self.part_length = -(-len(text) // parts)
        targets = np.full(parts * self.part_length, padding, np.int32)
        targets[: len(text)] = text.tokens
        inputs = np.concatenate([np.array([start], np.int32), targets[:-1]])
        self._targets, self._inputs = (tokens.reshape(parts, self.part_length) for tokens in (targets, inputs))

    def __len__(self) -> int:
        return self.workers * -(-self.part_length // self.length)

    def __getitem__(self, number: int) -> dict[str, Any]:
        piece, worker = divmod(number, self.workers)
        rows = slice(worker * self.streams, (worker + 1) * self.streams)
        columns = slice(piece * self.length, (piece + 1) * self.length)
        inputs, targets = (torch.from_numpy(t[rows, columns].astype(np.int64)) for t in (self._inputs, self._targets))
        net_input: dict[str, Any] = {"src_tokens": inputs, "src_lengths": torch.full((len(inputs),), inputs.size(1))}
        if self.tells_first:
            net_input["first_piece"] = piece == 0
        return {
            "id": torch.arange(rows.start, rows.stop),
            "nsentences": len(inputs),
            "ntokens": int((targets != self.padding).sum()),
            "net_input": net_input,
            "target": targets,
        }


def whole_batch(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Collate: an item is a batch already."""
    (batch,) = items
    return batch
