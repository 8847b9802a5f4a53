"""Ways around the softmax over the whole vocabulary, as flags of fairseq-train."""

from dataclasses import dataclass

#: Names of embeddings, and their flags.
EMBEDDINGS = {
    "table": "--arch lstm_lm_conventional",
    # The shape of the ALONE paper; one network for input and output, as it recommends.
    "alone": "--arch lstm_lm_alone --alone-filter real --alone-inter-dim 512",
}


@dataclass(frozen=True)
class Method:
    """One way to train.

    Args:
        title: as in a table.
        flags: of fairseq-train.
        ties: whether input and output can be one embedding.
        overrides: what changes when a trained model is asked for the next word, as fairseq's ``--model-overrides``.
    """

    title: str
    flags: str
    ties: bool = True
    overrides: tuple[tuple[str, object], ...] = ()


_RAW_SCORES = (("unnormalized_scores", True),)

METHODS = {
    "full": Method("full softmax", "--criterion cross_entropy"),
    "hierarchical": Method(
        "hierarchical, Huffman tree", "--output-layer hierarchical --criterion output_layer_loss", ties=False
    ),
    "differentiated": Method(
        "differentiated, a quarter of the table",
        "--output-layer differentiated --criterion output_layer_loss",
        ties=False,
    ),
    "char_cnn": Method(
        "CNN softmax, importance sampling", "--output-layer char_cnn --criterion sampled_softmax", ties=False
    ),
    "sampled": Method("importance sampling, 1,000 samples", "--criterion sampled_softmax"),
    "adaptive": Method(
        "adaptive importance sampling, 1,000 samples", "--criterion sampled_softmax --sampled-proposal adaptive"
    ),
    # How many samples the small ones need: the others keep 1,000.
    **{
        f"{name}_{number}": Method(f"{title}, {number:,} samples", f"--criterion {criterion} {flag} {number}")
        for name, title, criterion, flag in (
            ("sampled", "importance sampling", "sampled_softmax", "--sampled-num-samples"),
            ("nce", "noise-contrastive estimation", "noise_contrastive_estimation", "--nce-num-samples"),
        )
        for number in (100, 4000)
    },
    "target": Method(
        "target sampling, parts of 10,000 words", "--criterion target_sampling --target-sampling-size 10000"
    ),
    "nce": Method("noise-contrastive estimation, 1,000 samples", "--criterion noise_contrastive_estimation"),
    "self_normalized": Method("self-normalisation", "--criterion self_normalization", overrides=_RAW_SCORES),
    "infrequent": Method(
        "self-normalisation of a tenth of the positions",
        "--criterion self_normalization --self-normalization-share 0.1",
        overrides=_RAW_SCORES,
    ),
}
