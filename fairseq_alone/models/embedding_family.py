"""Kinds of embeddings: each says about itself all that the models, tools and recipes need to know."""

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from typing import Any

from fairseq.data import Dictionary
from fairseq.dataclass import FairseqDataclass
from torch import Tensor

from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.models.embedding_bits import round_as_asked
from fairseq_alone.models.family_flags import add_flags, fill_in
from fairseq_alone.modules.embedding import Embedding
from fairseq_alone.modules.fit import fit

# Untied embeddings draw independent filters; the encoder's is also the shared one.
ENCODER_STREAM, DECODER_STREAM, OUTPUT_STREAM = range(3)


class EmbeddingFamily:
    """One kind of embedding. A model names its family; that is all that makes it conventional, factorized or ALONE.

    A subclass sets :attr:`name` and :attr:`flags` and offers :meth:`build_from_flags`, :meth:`flags_of_share` and
    :meth:`describe`; the rest has defaults. ``docs/adding-a-family.md`` is the list of what to do.
    """

    #: The family in the name of an architecture: ``transformer_NAME``.
    name: str

    #: The same in the name of a class: ``TransformerNAMEModel``.
    class_name: str

    @dataclass
    class NoFlags(FairseqDataclass):
        """No flags."""

    #: The family's flags, made with :func:`~fairseq_alone.models.family_flags.flag`.
    flags: type[FairseqDataclass] = NoFlags

    #: Defaults of flags that depend on the shape of the model: ``{"tiny": {"alone_inter_dim": 1024}}``. The names of
    #: shapes are in :mod:`fairseq_alone.models.networks`.
    shape_defaults: dict[str, dict] = {}

    #: What comes before a setting's name in its flag.
    flag_prefix = "--"

    #: Whether the embedding is fairseq's own table, so that fairseq's Transformers make their own output layer over it.
    is_fairseqs = False

    #: What :meth:`describe` tells besides "embedding", "vocabulary" and "embed_dim", and how ``report`` calls it.
    report_rows: dict[str, str] = {}

    @classmethod
    def add_args(cls, parser: ArgumentParser) -> None:
        """Add the family's flags; their defaults come from :meth:`fill_defaults`."""
        add_flags(parser, cls.flags())

    @classmethod
    def fill_defaults(cls, args: Namespace, shape: str) -> None:
        """Fill in the flags that were not given. ``shape`` is the name of the model's shape."""
        fill_in(args, cls.flags, **cls.shape_defaults.get(shape, {}))

    @classmethod
    def build_from_flags(
        cls, args: Namespace, num_embeddings: int, embed_dim: int, padding_idx: int, stream: int
    ) -> Embedding:
        """Build the module. Raises SettingError, whose setting is the flag's name without its prefix."""
        raise NotImplementedError

    @classmethod
    def build_from_dictionary(cls, args: Namespace, dictionary: Dictionary, embed_dim: int, stream: int) -> Embedding:
        """Build the module where its tensors depend on the words; else :meth:`build_from_flags` is what to offer."""
        return cls.build_from_flags(args, len(dictionary), embed_dim, dictionary.pad(), stream)

    @classmethod
    def flags_of_share(cls, share: float, num_embeddings: int, embed_dim: int) -> dict[str, object]:
        """The flags of an embedding that has ``share`` of the trained values of a table V x D_e, as nearly as it can.

        Raises:
            SettingError: the family has no embedding of this size.
        """
        raise NotImplementedError

    @classmethod
    def describe(cls, tensors: dict[str, Tensor]) -> dict | None:
        """What an embedding of a checkpoint is: None unless the tensors are those of this family.

        Args:
            tensors: of one embedding or output layer, by their names within it.

        Returns:
            ``vocabulary``, ``embed_dim`` and those of :attr:`report_rows` that apply, all of them JSON values.

        Raises:
            ValueError: the tensors are of this family, but damaged.
        """
        raise NotImplementedError

    @classmethod
    def module_settings(cls, embedding: Any) -> dict[str, Any] | None:
        """What :func:`fairseq_alone.modules.build_embedding` needs to build a trained embedding without fairseq.

        Args:
            embedding: a module of this family.

        Returns:
            The module's arguments by name, as JSON values; None where only the plugin of the family can build it.
        """
        return None

    @classmethod
    def start_from(cls, embedding: Any, vectors: Tensor, weights: Tensor) -> None:
        """Begin a new embedding with given vectors, or as near to them as it can, in place.

        Without a way of its own, a family's trained values are fitted by gradients (equation 4 of the ALONE paper).

        Args:
            embedding: a module of this family, on a CPU, in float32.
            vectors: (V, D_e), float32, with the usual standard deviation; the strongest directions come first.
            weights: (V,), how often each word occurs.
        """
        fit(embedding, vectors, weights)

    @classmethod
    def wants_vectors(cls, args: Namespace) -> str | None:
        """The flag by which a new embedding needs vectors for :meth:`learn_codes`, whatever its values begin with."""
        return None

    @classmethod
    def learn_codes(cls, embedding: Any, vectors: Tensor, weights: Tensor) -> None:
        """Learn from vectors what is not trained, and leave the trained values; the arguments of :meth:`start_from`."""

    @classmethod
    def variant(cls, settings: dict) -> str:
        """A few words that tell embeddings of the family apart in a table of runs; ``settings`` is a description."""
        return ""

    @classmethod
    def check_dictionary(cls, embedding: Any, args: Namespace, dictionary: Dictionary) -> None:
        """Give the embedding what it needs of the words; warn when they do not stand in the order that it needs."""

    @classmethod
    def forget_files(cls, flags: dict[str, Any]) -> None:
        """Change flags that name files, in place, to what a model needs that is loaded without them."""

    @classmethod
    def upgrade_state_dict(cls, model: Any, state_dict: dict[str, Tensor], prefix: str) -> None:
        """Change a state dict of an older version, in place, before ``model`` loads it; names begin with ``prefix``."""

    @classmethod
    def build(cls, args: Namespace, dictionary: Dictionary, embed_dim: int, stream: int) -> Embedding:
        """Build an embedding: a module with ``forward(ids)`` and ``matrix()``.

        Args:
            args: the model's flags.
            dictionary: the vocabulary, V words.
            embed_dim: D_e.
            stream: which of several independent random filters, for embeddings that have any.

        Raises:
            UserError: a setting is outside its range, or asks for what this embedding cannot do; the sentence names its
                flag.
        """
        # A checkpoint of an older version does not have the newer flags, nor does another family's model that has this
        # one as its output layer.
        cls.fill_defaults(args, shape="")
        try:
            embedding = cls.build_from_dictionary(args, dictionary, embed_dim, stream)
        except SettingError as error:
            raise UserError(f"{cls.flag_prefix}{error.setting.replace('_', '-')} {error.problem}") from error
        cls.check_dictionary(embedding, args, dictionary)
        round_as_asked(args, embedding)
        return embedding
