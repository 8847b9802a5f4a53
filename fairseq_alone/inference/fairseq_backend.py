"""Decoding with fairseq's own beam search."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Any

import torch
from fairseq.utils import resolve_max_positions

from fairseq_alone.inference.backend import Search, UnitHypothesis
from fairseq_alone.inference.ready_model import ready_model
from fairseq_alone.inference.trained_model import TrainedModel


class FairseqBackend:
    """fairseq's search over a model, in batches of sentences of similar length. See :func:`ready_model`.

    Args:
        trained: a model for translation or headlines, which is moved and cannot be trained any more.
        device: torch's name of the device.

    Raises:
        UserError: there is no such device.
    """

    def __init__(self, trained: TrainedModel, device: str = "cpu"):
        assert trained.source_dictionary is not None  # language models do not translate
        self._source, self._target = trained.source_dictionary, trained.target_dictionary
        self._task: Any = trained.task
        self._model = ready_model(trained, device)
        self._device = device
        # As fairseq-generate limits it. The end symbol takes one place.
        limits = resolve_max_positions(self._task.max_positions(), self._model.max_positions())
        self.max_source_units = int(limits[0]) - 1

    @torch.no_grad()
    def decode(
        self, sources: Sequence[str], search: Search, progress: Callable[[int], object] | None = None
    ) -> list[list[UnitHypothesis]]:
        """See :class:`~fairseq_alone.inference.backend.Backend`."""
        # Of its own for each call: a generator is not safe in several threads.
        generator = self._task.build_generator([self._model], _generation(search))
        tokens = [
            self._source.encode_line(source, add_if_not_exist=False, append_eos=True).long() for source in sources
        ]
        lengths = [len(ids) for ids in tokens]
        dataset = self._task.build_dataset_for_inference(tokens, lengths)
        # Stable, so that the same sentences make the same batches.
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        found: list[list[UnitHypothesis]] = [[] for _ in sources]
        for start in range(0, len(order), search.sentences):
            chosen = order[start : start + search.sentences]
            sample = _to(self._device, dataset.collater([dataset[position] for position in chosen]))
            hypotheses = self._task.inference_step(generator, [self._model], sample)
            for position, best in zip(sample["id"].tolist(), hypotheses, strict=True):
                found[position] = [self._read(hypothesis) for hypothesis in best[: search.nbest]]
            if progress:
                progress(len(chosen))
        return found

    def _read(self, hypothesis: dict[str, Any]) -> UnitHypothesis:
        # As fairseq-generate prints it: without the end symbol, <unk> for what the model does not know.
        units = self._target.string(hypothesis["tokens"].int().cpu())
        return UnitHypothesis(units, float(hypothesis["score"]))


def _generation(search: Search) -> Namespace:
    return Namespace(
        beam=search.beam,
        nbest=search.nbest,
        lenpen=search.lenpen,
        max_len_a=search.max_len_a,
        max_len_b=search.max_len_b,
        desired_length=search.desired_length,
    )


def _to(device: str, sample: Any) -> Any:
    if isinstance(sample, torch.Tensor):
        return sample.to(device)
    return {name: _to(device, value) for name, value in sample.items()} if isinstance(sample, dict) else sample
