"""The model of ``--arch transformer_alone`` by name, for ``TransformerAloneModel.from_pretrained(...)``."""

from fairseq.models import MODEL_REGISTRY

TransformerAloneModel = MODEL_REGISTRY["transformer_alone"]
