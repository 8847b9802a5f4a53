"""``--criterion target_sampling``: a softmax over the words of the batch's part of the training data."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from fairseq.criterions import register_criterion
from fairseq.criterions.cross_entropy import CrossEntropyCriterionConfig
from fairseq.tasks import FairseqTask
from torch import Tensor

from fairseq_alone.criterions.sampled_mixin import SampledCriterion, TrainingBatch
from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.modules.target_partitions import cross_entropy_within, partition

logger = logging.getLogger(__name__)


@dataclass
class TargetSamplingConfig(CrossEntropyCriterionConfig):
    """fairseq's flags and the size of a part's vocabulary."""

    target_sampling_size: int = field(
        default=30_000,
        metadata={"help": "the most different words of one part of the training data; 15000 to 50000 in the paper"},
    )


@register_criterion("target_sampling", dataclass=TargetSamplingConfig)
class TargetSampling(SampledCriterion):
    """Cross-entropy over the words of a part of the training data (Jean et al., ACL 2015); in validation over all.

    A part is a run of the batches as fairseq makes them before it shuffles them and deals them out to workers, so every
    batch belongs to one part, whatever the order, the worker or the update.
    """

    name = "target_sampling"

    def __init__(self, task: FairseqTask, sentence_avg: bool, target_sampling_size: int):
        super().__init__(task, sentence_avg)
        if target_sampling_size < 2:
            raise UserError(f"--target-sampling-size must be at least 2, got {target_sampling_size}")
        self.size = target_sampling_size
        self._num_words = len(task.target_dictionary)
        self._batches: Sequence[Sequence[int]] | None = None
        self._part_of_sentence = np.zeros(0, np.int64)
        self._words: list[np.ndarray] = []

    def set_batches(self, dataset: Any, batches: Sequence[Sequence[int]]) -> None:
        """Find the parts; the trainer calls this before each epoch.

        Args:
            dataset: fairseq's, whose items have a ``"target"``.
            batches: the numbers of each batch's sentences, neither shuffled nor dealt out.

        Raises:
            UserError: the data has no targets of words, or a batch alone has too many different ones.
        """
        if batches is self._batches:
            return
        began = time.perf_counter()
        try:
            parts, self._words = partition(_targets(dataset, batches), self._num_words, self.size)
        except SettingError as error:
            raise UserError(
                f"--target-sampling-size {error.problem}: give a larger one, or smaller batches (--max-tokens)"
            ) from error
        self._part_of_sentence = np.full(len(dataset), -1, np.int64)
        for part, batch in zip(parts, batches, strict=True):
            self._part_of_sentence[np.asarray(batch)] = part
        self._batches = batches
        logger.info(
            f"target sampling: {len(batches)} batches in {len(self._words)} parts of "
            f"{np.mean([len(words) for words in self._words]):.0f} words ({time.perf_counter() - began:.1f} s)"
        )

    def words_of(self, sentences: Tensor) -> Tensor:
        """The words of a batch's part, (S,), int64, sorted, on the device of the sentences' numbers, (B,)."""
        parts = np.unique(self._part_of_sentence[sentences.cpu().numpy()])
        # One set of batches was told, and another came.
        assert len(parts) == 1, "a batch of several parts"
        return torch.from_numpy(self._words[parts[0]]).to(sentences.device)

    def training_loss(self, batch: TrainingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of each word, (N,), and nothing besides."""
        words = self.words_of(batch.sample["id"])
        return cross_entropy_within(batch.features, batch.targets, words, batch.rows.rows(words)), {}


def _targets(dataset: Any, batches: Sequence[Sequence[int]]) -> Iterator[np.ndarray]:
    """The targets of each batch."""
    for batch in batches:
        yield torch.cat([_target(dataset[number]) for number in batch]).numpy()


def _target(item: Any) -> Tensor:
    target = item.get("target") if isinstance(item, dict) else None
    if not isinstance(target, Tensor):
        raise UserError("--criterion target_sampling needs --task translation or language_modeling")
    return target
