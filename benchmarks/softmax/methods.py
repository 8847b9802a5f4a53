"""Ways around the softmax over the whole vocabulary, as flags of fairseq-train."""

from collections.abc import Callable
from dataclasses import dataclass

#: Names of embeddings, and their flags for `--arch lstm_lm_...`.
EMBEDDINGS = {
    "table": ("--arch", "lstm_lm_conventional"),
    # The shape of the ALONE paper; one network for input and output, as it recommends.
    "alone": ("--arch", "lstm_lm_alone", "--alone-filter", "real", "--alone-inter-dim", "512"),
}


@dataclass(frozen=True)
class Method:
    """One way to train.

    Args:
        title: as in a table.
        flags: of fairseq-train, for a vocabulary of V words and features of D values.
        ties: whether input and output can be one embedding.
        scores: how a trained model is asked for the next word: the flags that change it, as fairseq's
            ``--model-overrides``.
    """

    title: str
    flags: Callable[[int, int], tuple[str, ...]]
    ties: bool = True
    scores: tuple[tuple[str, object], ...] = ()


def blocks(vocabulary: int, size: int) -> str:
    """``--differentiated-blocks``: the most frequent fifteenth of the words has most of the values."""
    first, second = vocabulary // 15, vocabulary // 5
    widths = size - size // 4 - size // 8, size // 4, size // 8
    words = first, second, vocabulary - first - second
    return ",".join(f"{count}x{width}" for count, width in zip(words, widths, strict=True))


def _fixed(*flags: str) -> Callable[[int, int], tuple[str, ...]]:
    return lambda vocabulary, size: flags


_LAYER = ("--criterion", "output_layer_loss")

METHODS = {
    "full": Method("full softmax", _fixed("--criterion", "cross_entropy")),
    "hierarchical": Method(
        "hierarchical softmax, Huffman tree",
        _fixed("--output-layer", "hierarchical", "--hierarchical-tree", "huffman", *_LAYER),
        ties=False,
    ),
    "differentiated": Method(
        "differentiated softmax",
        lambda vocabulary, size: (
            *("--output-layer", "differentiated", "--differentiated-blocks", blocks(vocabulary, size), *_LAYER),
        ),
        ties=False,
    ),
    "char_cnn": Method(
        "CNN softmax", _fixed("--output-layer", "char_cnn", "--criterion", "sampled_softmax"), ties=False
    ),
    "sampled": Method("importance sampling, 1,000 samples", _fixed("--criterion", "sampled_softmax")),
    "adaptive": Method(
        "adaptive importance sampling, 1,000 samples",
        _fixed("--criterion", "sampled_softmax", "--sampled-proposal", "adaptive"),
    ),
    "target": Method("target sampling", _fixed("--criterion", "target_sampling")),
    "nce": Method("noise-contrastive estimation, 1,000 samples", _fixed("--criterion", "noise_contrastive_estimation")),
    "self_normalized": Method(
        "self-normalisation",
        _fixed("--criterion", "self_normalization"),
        scores=(("unnormalized_scores", True),),
    ),
    "infrequent": Method(
        "infrequent normalisation, a tenth of the positions",
        _fixed("--criterion", "self_normalization", "--self-normalization-share", "0.1"),
        scores=(("unnormalized_scores", True),),
    ),
}
