"""What every model over a family of embeddings shares, whatever its network is."""

from argparse import ArgumentParser

from fairseq_alone.models.embedding_bits import add_bits_args
from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.models.matmul_precision import add_matmul_precision_args
from fairseq_alone.models.output_layers import add_output_layer_args
from fairseq_alone.models.pretrained import FromPretrained
from fairseq_alone.models.scriptable_copy import ScriptableCopy
from fairseq_alone.models.starting import add_starting_args
from fairseq_alone.models.tied_state_dict import TiedStateDict
from fairseq_alone.models.tying import add_tying_args
from fairseq_alone.models.unnormalized_scores import UnnormalizedScores


class FamilyModel(FromPretrained, ScriptableCopy, TiedStateDict, UnnormalizedScores):
    """Mixin, before a fairseq model: flags of its own, state dicts, scripts and ``from_pretrained``.

    A registered model sets the family.
    """

    family: type[EmbeddingFamily]

    @classmethod
    def add_own_args(cls, parser: ArgumentParser) -> None:
        """Add the flags that fairseq's model does not have."""
        add_tying_args(parser)
        add_starting_args(parser)
        add_bits_args(parser)
        add_matmul_precision_args(parser)
        cls.add_unnormalized_args(parser)
        cls.family.add_args(parser)
        add_output_layer_args(parser, cls.family)
