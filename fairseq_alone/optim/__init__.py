"""Optimizers, as fairseq knows them."""

from fairseq_alone import plugin

plugin.register()
