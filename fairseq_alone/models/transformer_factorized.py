"""The model of ``--arch transformer_factorized`` by name, for ``TransformerFactorizedModel.from_pretrained(...)``."""

from fairseq.models import MODEL_REGISTRY

TransformerFactorizedModel = MODEL_REGISTRY["transformer_factorized"]
