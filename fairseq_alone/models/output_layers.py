"""``--output-layer``: what makes a distribution over words of the decoder's features, for every network."""

import dataclasses
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from typing import Any

from fairseq.data import Dictionary
from fairseq.models import ARCH_MODEL_REGISTRY
from torch import nn

from fairseq_alone.errors import UserError
from fairseq_alone.models.embedding_family import OUTPUT_STREAM, EmbeddingFamily
from fairseq_alone.models.family_registry import FAMILIES
from fairseq_alone.models.tying import build_output_layer, regularization_of, stock_output_layer_fits
from fairseq_alone.models.word_trees import TREES, NodeDictionary, tree_of_words
from fairseq_alone.modules import HierarchicalSoftmax
from fairseq_alone.modules.embedding import Embedding

#: Rows of the architecture's own family, and a tree whose nodes are of that family.
SOFTMAX, HIERARCHICAL = "softmax", "hierarchical"

#: Families that may be the output layer over another one.
FAMILY_LAYERS = ("differentiated", "char_cnn")


def add_output_layer_args(parser: ArgumentParser, family: type[EmbeddingFamily]) -> None:
    """Add ``--output-layer``, the flags of trees, and those of families that may be the output layer.

    Args:
        parser: of an architecture.
        family: that of the architecture, whose flags are added elsewhere.
    """
    others = _families_for(family)
    # fmt: off
    parser.add_argument("--output-layer", metavar="LAYER", default=SOFTMAX,
                        help="softmax over vectors like those of the input; hierarchical, a binary tree of words; or "
                             f"softmax over vectors of another family: {' or '.join(FAMILY_LAYERS)}; default: softmax")
    parser.add_argument("--hierarchical-tree", choices=TREES,
                        help="with --output-layer hierarchical: the shortest paths by the dictionary's counts "
                             "(huffman, the default), paths of one length (balanced), or similar words side by side "
                             "(clusters); a checkpoint has its tree")
    parser.add_argument("--hierarchical-vectors", metavar="FILE",
                        help="with --hierarchical-tree clusters: word vectors, as text or a binary file (.bin) of "
                             "word2vec, .safetensors of fairseq-alone corpus-vectors, or a checkpoint (.pt), whose "
                             "decoder's embedding is taken")
    # fmt: on
    for other in others.values():
        other.add_args(parser)


def _families_for(family: type[EmbeddingFamily]) -> dict[str, type[EmbeddingFamily]]:
    """The families that may be an output layer over another one, by name."""
    return {name: FAMILIES[name] for name in FAMILY_LAYERS if name in FAMILIES and name != family.name}


def output_layer_of(args: Any, family: type[EmbeddingFamily]) -> str:
    """What ``--output-layer`` is; a family over itself is ``softmax``. Checkpoints of before do not have the flag."""
    layer = getattr(args, "output_layer", None) or SOFTMAX
    return SOFTMAX if layer == family.name else layer


def check_output_layer(args: Namespace, family: type[EmbeddingFamily]) -> None:
    """Raise UserError for flags that contradict ``--output-layer``. Call ``resolve_tying`` before."""
    layer = output_layer_of(args, family)
    known = _families_for(family)
    if layer not in (SOFTMAX, HIERARCHICAL, *known):
        choices = ", ".join((SOFTMAX, HIERARCHICAL, *known))
        raise UserError(f"--output-layer must be one of {choices}, got {layer!r}")
    if layer != HIERARCHICAL:
        for name in ("hierarchical_tree", "hierarchical_vectors"):
            if getattr(args, name, None) is not None:
                raise UserError(f"--{name.replace('_', '-')} needs --output-layer {HIERARCHICAL}")
    for name, other in known.items():
        if name != layer:
            _refuse_flags_of(args, other)
    if layer == SOFTMAX:
        return
    if any(getattr(args, name, False) for name in ("share_all_embeddings", "share_decoder_input_output_embed")):
        instead = "the nodes of its tree are not words"
        if layer in known:
            instead = f"{_architecture_of(args, family, layer)} has it as input and output"
        raise UserError(f"--output-layer {layer} cannot be tied: {instead}; else give --tie-embeddings none")
    if layer == HIERARCHICAL:
        _check_tree(args, family)


def _refuse_flags_of(args: Namespace, family: type[EmbeddingFamily]) -> None:
    for field in dataclasses.fields(family.flags):
        if field.name != "_name" and getattr(args, field.name, field.default) != field.default:
            raise UserError(f"--{field.name.replace('_', '-')} needs --output-layer {family.name}, or an --arch of it")


def _architecture_of(args: Namespace, family: type[EmbeddingFamily], other: str) -> str:
    arch = str(getattr(args, "arch", None)).replace(family.name, other, 1)
    return f"--arch {arch}" if arch in ARCH_MODEL_REGISTRY and other in arch else f"an --arch of {other}"


def _check_tree(args: Namespace, family: type[EmbeddingFamily]) -> None:
    tree = tree_of(args)
    if tree not in TREES:
        raise UserError(f"--hierarchical-tree must be one of {', '.join(TREES)}, got {tree!r}")
    if getattr(args, "hierarchical_vectors", None) is not None and tree != "clusters":
        raise UserError("--hierarchical-vectors needs --hierarchical-tree clusters")
    no_words = f"does not work with --output-layer {HIERARCHICAL}: the nodes of its tree are not words"
    if regularization_of(args):
        raise UserError(f"--output-projection-regularization {no_words}")
    if str(getattr(args, "criterion", None)).endswith("with_augmented_loss"):
        raise UserError(f"--criterion {args.criterion} {no_words}, and its targets come of vectors of words")
    asked = family.wants_vectors(args)
    if asked is not None:
        raise UserError(f"{asked} {no_words}")


def tree_of(args: Any) -> str:
    """``--hierarchical-tree``, or its default."""
    return getattr(args, "hierarchical_tree", None) or TREES[0]


@dataclass(frozen=True)
class Output:
    """What a decoder needs to predict words.

    Args:
        layer: maps features to scores, the log-softmax of which is the distribution; None leaves it to fairseq.
        embedding: what the layer is trained by and the decoder has to register; None if that is the decoder's input
            embedding, or fairseq's.
        family: that of the embedding.
    """

    layer: nn.Module | None = None
    embedding: Embedding | None = None
    family: type[EmbeddingFamily] | None = None

    def register(self, decoder: Any) -> None:
        """Make the embedding a part of a decoder that was built with the layer."""
        if self.embedding is not None:
            decoder.output_embedding, decoder.output_family = self.embedding, self.family


def embedding_family_at(model: Any, place: str) -> type[EmbeddingFamily]:
    """The family of an embedding of a model of this package: ``decoder.output_embedding`` may have one of its own."""
    own: type[EmbeddingFamily] = model.family
    return getattr(model.decoder, "output_family", own) if place == "decoder.output_embedding" else own


def has_word_vectors(model: Any, place: str) -> bool:
    """Whether an embedding of a model is one of words, and not of the nodes of a tree."""
    of_output = place in ("decoder.output_embedding", "decoder.output_projection")
    return not (of_output and isinstance(getattr(model.decoder, "output_projection", None), HierarchicalSoftmax))


def build_output(
    args: Any,
    family: type[EmbeddingFamily],
    dictionary: Dictionary,
    output_dim: int,
    embed_tokens: Embedding,
    stock: bool = True,
) -> Output:
    """Build the output layer that the flags ask for; call :func:`check_output_layer` before.

    Args:
        args: the model's flags.
        family: that of the input embedding.
        dictionary: the words that are predicted.
        output_dim: D of the features.
        embed_tokens: the decoder's input embedding, for tied ones.
        stock: whether fairseq's decoder can make its own output layer over a table.

    Raises:
        UserError: a setting is outside its range.
    """
    layer = output_layer_of(args, family)
    if layer == HIERARCHICAL:
        tree = tree_of_words(args, tree_of(args), dictionary)
        nodes = family.build(args, NodeDictionary(tree.counts), output_dim, OUTPUT_STREAM)
        return Output(HierarchicalSoftmax(nodes, tree.children, tree.awaits), nodes, family)
    if layer == SOFTMAX and stock and stock_output_layer_fits(args, family):
        return Output()
    if args.share_decoder_input_output_embed:
        return Output(build_output_layer(args, embed_tokens))
    of_output = _families_for(family).get(layer, family)
    embedding = of_output.build(args, dictionary, output_dim, OUTPUT_STREAM)
    return Output(build_output_layer(args, embedding), embedding, of_output)
