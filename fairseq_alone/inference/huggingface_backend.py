"""Decoding with ``generate`` of Hugging Face's transformers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fairseq_alone.inference.backend import Search, UnitHypothesis
from fairseq_alone.inference.trained_model import TrainedModel

if TYPE_CHECKING:
    from transformers import FSMTForConditionalGeneration


class HuggingFaceBackend:
    """The beam search of transformers over an exported model, in batches of sentences of similar length.

    Args:
        model: FSMT, in evaluation mode.
        trained: what it was made of; gives the dictionaries.
    """

    def __init__(self, model: FSMTForConditionalGeneration, trained: TrainedModel):
        assert trained.source_dictionary is not None  # language models do not translate
        self._model = model
        self._source, self._target = trained.source_dictionary, trained.target_dictionary
        fairseq_model: Any = trained.model
        source_positions, self._target_positions = fairseq_model.max_positions()
        # The end symbol takes one place.
        self.max_source_units = source_positions - 1

    @torch.no_grad()
    def decode(
        self, sources: Sequence[str], search: Search, progress: Callable[[int], object] | None = None
    ) -> list[list[UnitHypothesis]]:
        """See :class:`~fairseq_alone.inference.backend.Backend`."""
        tokens = [
            self._source.encode_line(source, add_if_not_exist=False, append_eos=True).long() for source in sources
        ]
        order = sorted(range(len(sources)), key=lambda position: len(tokens[position]))
        found: list[list[UnitHypothesis]] = [[] for _ in sources]
        for start in range(0, len(order), search.sentences):
            chosen = order[start : start + search.sentences]
            batch = torch.nn.utils.rnn.pad_sequence(
                [tokens[position] for position in chosen], batch_first=True, padding_value=self._source.pad()
            )
            for position, hypotheses in zip(chosen, self._decode_batch(batch, search), strict=True):
                found[position] = hypotheses
            if progress:
                progress(len(chosen))
        return found

    def _decode_batch(self, batch: Tensor, search: Search) -> list[list[UnitHypothesis]]:
        """The n best of each row of ``batch``, (B, S)."""
        mask = batch.ne(self._source.pad()).long()
        longest = min(int(search.max_len_a * batch.size(1) + search.max_len_b), self._target_positions - 1)
        sequences: Any = self._model.generate(
            batch,
            attention_mask=mask,
            num_beams=min(search.beam, len(self._target) - 1),
            num_return_sequences=search.nbest,
            length_penalty=search.lenpen,
            max_length=longest + 2,
            forced_eos_token_id=None,
            logits_processor=[_EndAtLast(self._target.eos(), longest + 1)],
        )
        ends = sequences[:, 1:]  # (B * nbest, T), without the symbol at the start
        scores = self._scores(batch, mask, sequences, search)
        hypotheses = [
            UnitHypothesis(self._target.string(row[row.ne(self._target.pad())]), score)
            for row, score in zip(ends, scores, strict=True)
        ]
        return [hypotheses[start : start + search.nbest] for start in range(0, len(hypotheses), search.nbest)]

    def _scores(self, batch: Tensor, mask: Tensor, sequences: Tensor, search: Search) -> list[float]:
        """The scores by which the search ranked, (B * nbest), computed anew.

        ``generate`` gives them only with the log-probabilities of every word at every step, which may need gigabytes.
        """
        output: Any = self._model(
            batch.repeat_interleave(search.nbest, dim=0),
            attention_mask=mask.repeat_interleave(search.nbest, dim=0),
            decoder_input_ids=sequences[:, :-1],
            use_cache=False,
        )
        written = sequences[:, 1:]
        log_probabilities = output.logits.float().log_softmax(-1).gather(-1, written.unsqueeze(-1)).squeeze(-1)
        real = written.ne(self._target.pad())
        sums = (log_probabilities * real).sum(1)
        return (sums / real.sum(1) ** search.lenpen).tolist()


class _EndAtLast:
    """At the last place only the end symbol is left, with its own probability: transformers' own would give it 1.

    Args:
        eos: the id of the end symbol.
        last: the length of the input, the symbol at the start counted, that only the end symbol may follow.
    """

    def __init__(self, eos: int, last: int):
        self._eos, self._last = eos, last

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (N, V) of the next words."""
        if input_ids.size(1) < self._last:
            return scores
        ended = torch.full_like(scores, -math.inf)
        ended[:, self._eos] = scores[:, self._eos]
        return ended
