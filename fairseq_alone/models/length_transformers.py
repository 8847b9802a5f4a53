"""The models of ``--arch transformer_length_duc`` and ``transformer_alone_duc`` by name, for ``from_pretrained``."""

from fairseq.models import MODEL_REGISTRY

TransformerLengthModel = MODEL_REGISTRY["transformer_length"]
TransformerAloneLengthModel = MODEL_REGISTRY["transformer_alone_length"]
