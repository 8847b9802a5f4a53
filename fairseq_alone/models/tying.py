"""Which embeddings are one (Press and Wolf, EACL 2017), and the output layer that follows from it."""

from argparse import ArgumentParser, Namespace

from fairseq_alone.errors import UserError
from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.modules import RegularizedProjection, TiedProjection
from fairseq_alone.modules.embedding import Embedding

TYINGS = ("none", "decoder", "all")

# The criterions that add the penalty of a regularised projection to the loss.
_CRITERIONS = ("cross_entropy_with_augmented_loss", "label_smoothed_cross_entropy_with_augmented_loss")


def add_tying_args(parser: ArgumentParser) -> None:
    """Add ``--tie-embeddings`` and ``--output-projection-regularization``."""
    # fmt: off
    parser.add_argument("--tie-embeddings", choices=TYINGS,
                        help="which embeddings are one: none, decoder (its input and the output) or all (with the "
                             "encoder's input); sets fairseq's own sharing flags")
    parser.add_argument("--output-projection-regularization", type=float, metavar="LAMBDA",
                        help="for untied models: a square matrix P before the output embedding and LAMBDA * ||P|| in "
                             "the loss; 0.15 in Press and Wolf (2017); 0 is off")
    # fmt: on


def resolve_tying(args: Namespace, has_encoder: bool = True) -> None:
    """Make fairseq's sharing flags agree with ``--tie-embeddings``, in place.

    Args:
        args: the model's flags. Without ``--tie-embeddings`` fairseq's flags stay as they are.
        has_encoder: False for a language model, where ``decoder`` and ``all`` are the same.

    Raises:
        UserError: the flags contradict each other, or lambda is negative or given to a tied model.
    """
    tying = getattr(args, "tie_embeddings", None)
    if tying is not None:
        if tying not in TYINGS:
            raise UserError(f"--tie-embeddings must be one of {', '.join(TYINGS)}, got {tying!r}")
        contradicting = {"none": ["share_all_embeddings", "share_decoder_input_output_embed", "merge_src_tgt_embed"]}
        contradicting["decoder"] = ["share_all_embeddings", "merge_src_tgt_embed"]
        for name in contradicting.get(tying, ()):
            if getattr(args, name, False):
                raise UserError(f"--{name.replace('_', '-')} contradicts --tie-embeddings {tying}; give one of the two")
        if has_encoder:
            args.share_all_embeddings = tying == "all"
        args.share_decoder_input_output_embed = tying != "none"
    _check_regularization(args)


def _check_regularization(args: Namespace) -> None:
    regularization = regularization_of(args)
    if not 0.0 <= regularization < float("inf"):
        raise UserError(f"--output-projection-regularization must be at least 0, got {regularization}")
    if regularization == 0.0:
        return
    sharing = ("share_all_embeddings", "share_decoder_input_output_embed", "merge_src_tgt_embed")
    if any(getattr(args, name, False) for name in sharing):
        raise UserError("--output-projection-regularization is for untied output layers: give --tie-embeddings none")
    criterion = getattr(args, "criterion", None)
    if criterion is not None and criterion not in _CRITERIONS:
        raise UserError(
            f"--output-projection-regularization needs --criterion {' or '.join(_CRITERIONS)}, which adds the penalty "
            f"(with --augmented-loss-weight 0 if that is all you want), not {criterion}"
        )


def stock_output_layer_fits(args: Namespace, family: type[EmbeddingFamily]) -> bool:
    """Whether fairseq's decoder can make its own output layer, which reads a stored table as it is."""
    rounded = (getattr(args, "embedding_bits", None) or 32) < 32
    return family.is_fairseqs and not regularization_of(args) and not rounded


def regularization_of(args: Namespace) -> float:
    """lambda of ``--output-projection-regularization``; 0 is none."""
    return getattr(args, "output_projection_regularization", None) or 0.0


def build_output_layer(args: Namespace, embedding: Embedding) -> TiedProjection:
    """The output layer over an embedding, tied or not, as the flags ask. Call :func:`resolve_tying` before."""
    regularization = regularization_of(args)
    return RegularizedProjection(embedding, regularization) if regularization else TiedProjection(embedding)
