"""fairseq criterions: each file registers one."""

from fairseq_alone import plugin

plugin.register()
