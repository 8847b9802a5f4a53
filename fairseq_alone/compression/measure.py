"""What a model is worth: perplexity of the validation set, BLEU of a recipe's test set, bytes."""

from typing import Any

import torch
from fairseq.utils import move_to_cuda, resolve_max_positions
from torch.nn.functional import nll_loss
from tqdm import tqdm

from fairseq_alone.inference.trained_model import TrainedModel
from fairseq_alone.inference.translator import Translator
from fairseq_alone.modules.compact_file import bytes_under
from fairseq_alone.recipes.work_folder import WorkFolder
from fairseq_alone.tasks.truncated_bptt_lm import TruncatedBPTTTask
from fairseq_alone.text_files import read_lines


@torch.no_grad()
def validation_perplexity(trained: TrainedModel, task: Any, max_tokens: int, cuda: bool = False) -> float:
    """2 to the power of the mean cross-entropy of a token, as ``fairseq-train`` logs it.

    Args:
        trained: the model.
        task: fairseq's, with the folder of the data.
        max_tokens: of a batch.
        cuda: on a GPU.
    """
    model: Any = trained.model.eval()
    if cuda:
        model.cuda()
    total, tokens = 0.0, 0
    padding = trained.target_dictionary.pad()
    iterator = epoch_iterator(task, model, "valid", max_tokens=max_tokens)
    for sample in iterator.next_epoch_itr(shuffle=False):
        sample = move_to_cuda(sample) if cuda else sample
        output = model(**sample["net_input"])
        targets = model.get_targets(sample, output).reshape(-1)
        scores = model.get_normalized_probs(output, log_probs=True).float()
        total += nll_loss(scores.reshape(-1, scores.size(-1)), targets, ignore_index=padding, reduction="sum").item()
        tokens += sample["ntokens"]
    model.cpu()
    return float(torch.tensor(total / tokens, dtype=torch.float64).exp())


def epoch_iterator(
    task: Any, model: Any, split: str, max_tokens: int | None = None, max_sentences: int | None = None, shards: int = 1
) -> Any:
    """fairseq's iterator over a split, of which each worker has one of ``shards``; ``len`` counts its batches.

    Sentences that are too long for the model are left out, as in training. Where the task carries the state of a model
    on, the batches go on where those before ended, and ``max_tokens`` does not count.

    Args:
        task: fairseq's, with the folder of the data.
        model: its longest input limits the sentences.
        split: ``"train"``, ``"valid"`` or ``"test"``.
        max_tokens: of a batch.
        max_sentences: of a batch.
        shards: workers.
    """
    if split not in task.datasets:
        task.load_dataset(split)
    if isinstance(task, TruncatedBPTTTask):
        task.read_for(model)
    limits = resolve_max_positions(task.max_positions(), model.max_positions(), max_tokens)
    return task.get_batch_iterator(
        task.dataset(split),
        max_tokens=max_tokens,
        max_sentences=max_sentences,
        max_positions=limits,
        ignore_invalid_inputs=True,
        # Without this fairseq drops up to 7 sentences of every set.
        required_batch_size_multiple=1,
        num_shards=shards,
    )


def bleu_of_test_set(translator: Translator, work: WorkFolder) -> float:
    """SacreBLEU of the test set, decoded as the recipe's evaluation decodes.

    Args:
        translator: of a model for translation.
        work: the prepared folder.
    """
    from fairseq_alone.cli.score import corpus_scores
    from fairseq_alone.inference.search_settings import SearchSettings

    sources, references = (
        read_lines(str(work.path / "clean" / f"test.{lang}")) for lang in (work.source_lang, work.target_lang)
    )
    with tqdm(total=len(sources), desc="decoding", unit="sentence", disable=None, leave=False) as bar:
        found = translator.decode(sources, SearchSettings(nbest=1), bar.update)
    hypotheses = [best[0].text if best else "" for best in found]
    return float(corpus_scores(hypotheses, references)["BLEU"]["score"])


def sizes(
    trained: TrainedModel, quantization: str = "fp32", embedding_quantization: str | None = None
) -> dict[str, int]:
    """Bytes of the embedding, with the output layer, and of the whole model, stored in a type."""
    groups = bytes_under(trained.model.state_dict(), quantization, embedding_quantization)
    return {"embedding_bytes": groups["embedding"], "model_bytes": sum(groups.values())}
