"""Scoring text with a language model of fairseq."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fairseq_alone.inference.trained_model import TrainedModel


class FairseqScorer:
    """Log-probabilities by the network itself, one text at a time, so that no text depends on the others.

    Args:
        trained: a language model.
        device: torch's name of the device.
    """

    def __init__(self, trained: TrainedModel, device: str = "cpu"):
        self._dictionary = trained.target_dictionary
        self._model: Any = trained.model.to(device)
        self._device = device
        # As fairseq begins a text of its own.
        with_bos = trained.config["task"].get("add_bos_token")
        self._start = self._dictionary.bos() if with_bos else self._dictionary.eos()

    @torch.no_grad()
    def score(self, texts: Sequence[str]) -> list[list[float]]:
        """See :class:`~fairseq_alone.inference.backend.Scorer`."""
        return [self._score(text) for text in texts]

    def _score(self, text: str) -> list[float]:
        target = self._dictionary.encode_line(text, add_if_not_exist=False, append_eos=True).long().to(self._device)
        source = torch.cat((target.new_tensor([self._start]), target[:-1]))[None]  # (1, T)
        output = self._model(source, src_lengths=target.new_tensor([target.numel()]))
        found = self._model.get_normalized_probs(output, log_probs=True)[0]  # (1, T, V) -> (T, V)
        return found.gather(1, target[:, None])[:, 0].tolist()
