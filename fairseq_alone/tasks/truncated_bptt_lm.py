"""``--task truncated_bptt_lm``: language models whose state goes on from one batch to the next."""

from dataclasses import dataclass
from typing import Any

import torch
from fairseq.data import iterators
from fairseq.tasks import register_task
from fairseq.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask
from torch import Tensor, nn

from fairseq_alone.errors import UserError
from fairseq_alone.tasks.stream_flags import refuse_flags_of_samples
from fairseq_alone.tasks.text_streams import Text, TextStreams, read_text, whole_batch

#: Words of one piece in evaluation: the state is carried, so the result does not depend on it.
_EVALUATION_LENGTH = 1000


@dataclass
class TruncatedBPTTConfig(LanguageModelingConfig):
    """Flags of fairseq's language modelling task."""


@register_task("truncated_bptt_lm", dataclass=TruncatedBPTTConfig)
class TruncatedBPTTTask(LanguageModelingTask):
    """fairseq's language modelling over text that is read on and on, as Zaremba et al. (2014) and its successors do.

    Each worker reads ``--batch-size`` streams of the training text in pieces of ``--tokens-per-sample`` words. A
    recurrent model begins each piece with the state that it had at the end of the one before (detached: the gradient
    ends there), and each epoch with an empty one. With ``--update-freq`` an update is several pieces long. Other text
    is one stream for each worker, read through with one state: with one worker, the perplexity of validation is that
    of ``fairseq-eval-lm``. A model without a state, a Transformer, sees each piece by itself.
    """

    #: Whether the model has a state to be carried.
    _carries_state = False

    @classmethod
    def setup_task(cls, args: Any, **kwargs: Any) -> "TruncatedBPTTTask":
        """Read the dictionary. Raises UserError for flags that need single samples."""
        refuse_flags_of_samples(args, "truncated_bptt_lm")
        return super().setup_task(args, **kwargs)

    def build_model(self, args: Any, from_checkpoint: bool = False) -> nn.Module:
        """Build the model, and note whether it has a state."""
        model = super().build_model(args, from_checkpoint)
        self.read_for(model)
        return model

    def read_for(self, model: Any) -> None:
        """Make batches for a model from now on, which has a state or none."""
        self._carries_state = hasattr(model.decoder, "carried_state")

    def load_dataset(self, split: str, epoch: int = 1, combine: bool = False, **kwargs: Any) -> None:
        """Read all tokens of a split. FileNotFoundError: there is no such split."""
        self.datasets[split] = read_text(self, split, epoch, combine)

    def get_batch_iterator(
        self,
        dataset: Text,
        max_tokens: int | None = None,
        max_sentences: int | None = None,
        *others: Any,
        num_shards: int = 1,
        shard_id: int = 0,
        num_workers: int = 0,
        epoch: int = 1,
        data_buffer_size: int = 0,
        **unused: Any,
    ) -> iterators.EpochBatchIterator:
        """The batches of an epoch, never shuffled; see fairseq's own.

        Raises:
            UserError: there is no ``--batch-size``, or the text is too short for it.
        """
        if dataset.training and not max_sentences:
            raise UserError("--batch-size N is missing: the number of streams that --task truncated_bptt_lm reads")
        streams, length = max_sentences or 1, self.args.tokens_per_sample
        if not dataset.training:
            streams, length = 1, max(length, _EVALUATION_LENGTH) if self._carries_state else length
        pad, eos = self.dictionary.pad(), self.dictionary.eos()
        try:
            batches = TextStreams(dataset, streams, num_shards, length, pad, eos, self._carries_state)
        except ValueError as error:
            raise UserError(f"--batch-size {streams}: {error}") from error
        return iterators.EpochBatchIterator(
            dataset=batches,
            collate_fn=whole_batch,
            batch_sampler=[[number] for number in range(len(batches))],
            num_shards=num_shards,
            shard_id=shard_id,
            num_workers=num_workers,
            epoch=epoch,
            buffer_size=data_buffer_size,
            disable_shuffling=True,
        )

    def eval_lm_dataloader(self, dataset: Text, *others: Any, context_window: int = 0, **settings: Any) -> Any:
        """The batches that fairseq-eval-lm reads: the whole text as one stream.

        Raises:
            UserError: ``--context-window`` is given, which would score words twice, or several processes.
        """
        if context_window > 0:
            raise UserError("--context-window does not work with --task truncated_bptt_lm: the state is the context")
        text = Text(dataset.tokens, training=False)
        kept = {name: settings[name] for name in ("num_shards", "shard_id", "num_workers") if name in settings}
        return self.get_batch_iterator(text, **kept).next_epoch_itr(shuffle=False)

    def states_to_save(self, model: Any, gather: Any) -> Tensor | None:
        """What the streams of all workers are in the middle of, (W, L, 2, B, H), on the CPU; None before the first.

        Args:
            model: without a wrapper.
            gather: all workers' tensors from this one's, (W, ...).
        """
        state = model.decoder.carried_state.of_training() if self._carries_state else None
        return None if state is None else gather(state).cpu()

    def resume_states(self, model: Any, states: Tensor, worker: int, workers: int) -> None:
        """Go on where the streams of a checkpoint were.

        Raises:
            UserError: the checkpoint is of another number of workers.
        """
        if not self._carries_state:
            return
        if states.size(0) != workers:
            raise UserError(
                f"the checkpoint is in the middle of an epoch that {states.size(0)} workers read, here are {workers}: "
                "each has its streams; go on with as many, or begin the epoch anew with --reset-dataloader"
            )
        like = next(model.parameters())
        model.decoder.carried_state.resume(states[worker].to(device=like.device, dtype=like.dtype))


def no_gather(state: Tensor) -> Tensor:
    """Of one worker: (...) -> (1, ...)."""
    return state.unsqueeze(0)


def gather_from(group: Any, workers: int) -> Any:
    """A function that gives every worker the tensors of all, (...) -> (W, ...)."""
    if workers == 1:
        return no_gather

    def gather(state: Tensor) -> Tensor:
        states = [torch.empty_like(state) for _ in range(workers)]
        torch.distributed.all_gather(states, state.contiguous(), group=group)
        return torch.stack(states)

    return gather
