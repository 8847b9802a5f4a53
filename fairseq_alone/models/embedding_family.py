"""Kinds of embeddings as the models see them: flags, defaults, and how to build one."""

from fairseq.data import Dictionary

from fairseq_alone.errors import SettingError, UserError

# Untied embeddings draw independent filters; the encoder's is also the shared one.
ENCODER_STREAM, DECODER_STREAM, OUTPUT_STREAM = range(3)


class EmbeddingFamily:
    """One kind of embedding. A model names its family; that is all that makes it conventional, factorized or ALONE."""

    #: What comes before a setting's name in its flag.
    flag_prefix = "--"

    #: Whether the embedding is fairseq's own table, so that fairseq's Transformers make their own output layer over it.
    is_fairseqs = False

    @classmethod
    def add_args(cls, parser) -> None:
        """Add the family's flags; their defaults come from :meth:`fill_defaults`."""
        raise NotImplementedError

    @classmethod
    def fill_defaults(cls, args, **sizes) -> None:
        """Fill in the flags that were not given. ``sizes`` are those that depend on the architecture."""
        raise NotImplementedError

    @classmethod
    def build_from_flags(cls, args, num_embeddings: int, embed_dim: int, padding_idx: int, stream: int):
        """Build the module. Raises SettingError, whose setting is the flag's name without its prefix."""
        raise NotImplementedError

    @classmethod
    def check_dictionary(cls, embedding, dictionary: Dictionary) -> None:
        """Warn when the words do not stand in the order that the embedding needs."""

    @classmethod
    def upgrade_state_dict(cls, model, state_dict: dict, prefix: str) -> None:
        """Change a state dict of an older version, in place, before ``model`` loads it; names begin with ``prefix``."""

    @classmethod
    def build(cls, args, dictionary: Dictionary, embed_dim: int, stream: int):
        """Build an embedding: a module with ``forward(ids)`` and ``matrix()``.

        Args:
            args: the model's flags.
            dictionary: the vocabulary, V words.
            embed_dim: D_e.
            stream: which of several independent random filters, for embeddings that have any.

        Raises:
            UserError: a setting is outside its range; the sentence names its flag.
        """
        try:
            embedding = cls.build_from_flags(args, len(dictionary), embed_dim, dictionary.pad(), stream)
        except SettingError as error:
            raise UserError(f"{cls.flag_prefix}{error.setting.replace('_', '-')} {error.problem}") from error
        cls.check_dictionary(embedding, dictionary)
        return embedding
