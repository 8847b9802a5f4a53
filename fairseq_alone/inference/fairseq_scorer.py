"""Log-probabilities of text under one of fairseq's language models."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from fairseq_alone.errors import UserError
from fairseq_alone.inference.ready_model import ready_model
from fairseq_alone.inference.trained_model import TrainedModel

# Units that are scored at a time: their logits over 32,000 words take 130 MB.
_UNITS_AT_A_TIME = 1024


class FairseqScorer:
    """Each text is scored from an empty context, as ``fairseq-eval-lm --sample-break-mode eos`` does, or, of a model
    with a state, from where the one before ended, as ``--task truncated_bptt_lm`` does.

    Args:
        trained: a language model, which is moved and cannot be trained any more.
        device: torch's name of the device.

    Raises:
        UserError: there is no such device.
    """

    def __init__(self, trained: TrainedModel, device: str = "cpu"):
        self._path = trained.path
        self._dictionary = trained.target_dictionary
        self._model = ready_model(trained, device)
        self._device = device
        # What the model reads before the first word.
        self._start = [self._dictionary.eos()]
        if trained.config["task"].get("add_bos_token"):
            self._start.insert(0, self._dictionary.bos())
        # The model keeps the state of a running text in itself.
        self._lock = threading.Lock()
        #: The longest text, in units without the end symbol.
        self.max_units = int(self._model.max_positions()) - len(self._start)

    @torch.no_grad()
    def score(self, texts: Sequence[str]) -> list[list[float]]:
        """See :class:`~fairseq_alone.inference.backend.Scorer`; no text may be longer than :attr:`max_units`."""
        targets = self._encode(texts)
        found: list[list[float]] = [[] for _ in texts]
        for chosen in _batches([len(ids) + len(self._start) for ids in targets]):
            scores = self._score_batch([targets[position] for position in chosen])
            for position, row in zip(chosen, scores, strict=True):
                found[position] = row[: len(targets[position])].tolist()
        return found

    @torch.no_grad()
    def score_running(self, texts: Sequence[str], progress: Callable[[int], object] | None = None) -> list[list[float]]:
        """See :class:`~fairseq_alone.inference.backend.RunningScorer`."""
        model: Any = self._model
        if not hasattr(model.decoder, "carried_state"):
            raise UserError(f"{self._path}: has no state that could be carried from one line to the next")
        targets = self._encode(texts)
        words = torch.cat((torch.tensor([self._dictionary.eos()]), *targets)).to(self._device)
        pieces = []
        with self._lock:
            for start in range(0, len(words) - 1, _UNITS_AT_A_TIME):
                piece = words[start : start + _UNITS_AT_A_TIME + 1].unsqueeze(0)
                output: Any = model(piece[:, :-1], first_piece=start == 0)
                pieces.append(self._of_words(output, piece[:, 1:])[0])
                if progress is not None:
                    progress(len(pieces[-1]))
        scores = torch.cat(pieces) if pieces else words.new_empty(0)
        return [row.tolist() for row in scores.split([len(ids) for ids in targets])]

    def _encode(self, texts: Sequence[str]) -> list[Tensor]:
        """The words of each text and its end."""
        return [self._dictionary.encode_line(text, add_if_not_exist=False, append_eos=True).long() for text in texts]

    def _of_words(self, output: Any, wanted: Tensor) -> Tensor:
        """The log-probabilities of words (B, T), on the CPU, of what the model gave for as many or one symbol more."""
        log_probabilities = self._model.get_normalized_probs(output, log_probs=True, sample=None)  # (B, T, V)
        # A symbol that begins a text, besides the end symbol, is not scored.
        log_probabilities = log_probabilities[:, log_probabilities.size(1) - wanted.size(1) :]
        return log_probabilities.gather(2, wanted.unsqueeze(2)).squeeze(2).cpu()

    def _score_batch(self, targets: list[Tensor]) -> Tensor:
        pad = self._dictionary.pad()
        start = torch.tensor(self._start)
        sources = [torch.cat((start, ids[:-1])) for ids in targets]
        words = torch.nn.utils.rnn.pad_sequence(sources, batch_first=True, padding_value=pad).to(self._device)
        wanted = torch.nn.utils.rnn.pad_sequence(targets, batch_first=True, padding_value=pad).to(self._device)
        lengths = torch.tensor([len(ids) for ids in sources], device=self._device)
        output: Any = self._model(words, src_lengths=lengths)
        return self._of_words(output, wanted)


def _batches(lengths: list[int]) -> list[list[int]]:
    """Positions of texts of similar length, so many that padded they have at most ``_UNITS_AT_A_TIME`` units."""
    batches: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        if not batches or (len(batches[-1]) + 1) * lengths[position] > _UNITS_AT_A_TIME:
            batches.append([])
        batches[-1].append(position)
    return batches
