"""``--task word_vectors``: models that are trained for their word vectors."""

import logging
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np
from fairseq.data import iterators
from fairseq.tasks import register_task
from fairseq.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask
from torch import nn

from fairseq_alone.corpus.windows import Predicted, WindowKind, kept_share
from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.tasks.stream_flags import refuse_flags_of_samples
from fairseq_alone.tasks.text_streams import read_text
from fairseq_alone.tasks.word_windows import Sentences, Symbols, WordWindows, whole_batch_or_none

logger = logging.getLogger(__name__)

#: The subsampling of models whose windows are drawn, as gensim and word2vec recommend it for small corpora.
_SUBSAMPLE = 1e-4


@dataclass
class WordVectorsConfig(LanguageModelingConfig):
    """Flags of fairseq's language modelling task, and of the windows."""

    tokens_per_sample: int = field(
        default=64,
        metadata={"help": "words of a row: batches are rows of so many words, each with its window around it"},
    )
    window_subsample: Optional[float] = field(  # noqa: UP045 (fairseq reads the type)
        default=None,
        metadata={
            "help": "leave out occurrences of words that are more frequent than this share of the text; not for "
            "nnlm; 0 keeps all but unknown words; default: 1e-4 for skip_gram and cbow, for cw none is left out"
        },
    )


@register_task("word_vectors", dataclass=WordVectorsConfig)
class WordVectorsTask(LanguageModelingTask):
    """Words and their windows, of the text that ``fairseq-preprocess --only-source`` makes.

    A batch is about ``--max-tokens`` consecutive tokens: whole sentences, but for a model that predicts the next word,
    which reads on and on. The model says what windows it has. Batches are shuffled; what is drawn for one depends on
    ``--seed``, the epoch and its place in the text. Text for validation is the same each time.
    """

    _kind: WindowKind | None = None

    @classmethod
    def setup_task(cls, args: Any, **kwargs: Any) -> "WordVectorsTask":
        """Read the dictionary. Raises UserError for flags that need single samples."""
        refuse_flags_of_samples(args, "word_vectors")
        if args.tokens_per_sample is None or args.tokens_per_sample < 1:
            raise UserError(f"--tokens-per-sample must be at least 1, got {args.tokens_per_sample}")
        return super().setup_task(args, **kwargs)

    def build_model(self, args: Any, from_checkpoint: bool = False) -> nn.Module:
        """Build the model, and note which windows it has. Raises UserError for a model of another kind."""
        model: Any = super().build_model(args, from_checkpoint)
        kind = getattr(model, "windows", None)
        if kind is None:
            raise UserError(
                "--task word_vectors needs --arch nnlm, cw, cbow or skip_gram, or one of them with the name of a "
                "family of embeddings behind it"
            )
        if self.args.window_subsample is not None and kind.predicted is Predicted.NEXT:
            raise UserError("--window-subsample needs --arch skip_gram, cbow or cw")
        self._kind = kind
        return model

    def load_dataset(self, split: str, epoch: int = 1, combine: bool = False, **kwargs: Any) -> None:
        """Read all tokens of a split. FileNotFoundError: there is no such split."""
        text = read_text(self, split, epoch, combine)
        self.datasets[split] = Sentences(text.tokens, text.training)

    def get_batch_iterator(
        self,
        dataset: Sentences,
        max_tokens: int | None = None,
        *others: Any,
        seed: int = 1,
        num_shards: int = 1,
        shard_id: int = 0,
        num_workers: int = 0,
        epoch: int = 1,
        data_buffer_size: int = 0,
        **unused: Any,
    ) -> iterators.EpochBatchIterator:
        """The batches of an epoch; see fairseq's own.

        Raises:
            UserError: there is no ``--max-tokens``, the text is empty, or a flag is outside its range.
        """
        if not max_tokens:
            raise UserError("--max-tokens N is missing: how much text is a batch of --task word_vectors")
        if not len(dataset):
            raise UserError("--task word_vectors: a split of the text is empty")
        assert self._kind is not None  # fairseq builds the model first
        words = self.dictionary
        symbols = Symbols(words.pad(), words.eos(), words.unk())
        length = self.args.tokens_per_sample
        batches = WordWindows(dataset, self._kind, self._kept(self._kind), max_tokens, length, symbols, seed)
        if dataset.training:
            logger.info(f"{len(dataset):,} tokens to train on are {len(batches):,} batches")
        return iterators.EpochBatchIterator(
            dataset=batches,
            collate_fn=whole_batch_or_none,
            batch_sampler=[[number] for number in range(len(batches))],
            seed=seed,
            num_shards=num_shards,
            shard_id=shard_id,
            num_workers=num_workers,
            epoch=epoch,
            buffer_size=data_buffer_size,
            disable_shuffling=not dataset.training,
        )

    def window_counts(self) -> np.ndarray:
        """How often each word may be expected in a window's middle, (V,) float64; 0 for symbols.

        That is its count, less what subsampling leaves out. UserError: a flag is outside its range.
        """
        assert self._kind is not None  # fairseq builds the model first
        kept = self._kept(self._kind)
        return self._word_counts() if kept is None else self._word_counts() * kept

    def _word_counts(self) -> np.ndarray:
        counts = np.array(self.dictionary.count, dtype=np.float64)
        counts[: self.dictionary.nspecial] = 0.0
        return counts

    def _kept(self, kind: WindowKind) -> np.ndarray | None:
        threshold = self.args.window_subsample
        if threshold is None and not kind.drawn:
            return None
        try:
            return kept_share(self._word_counts(), _SUBSAMPLE if threshold is None else threshold)
        except SettingError as error:
            raise UserError(f"--window-{error.setting} {error.problem}") from error
