"""fairseq models: each file registers one model and its architectures."""

from fairseq_alone import plugin

plugin.register()
