"""fairseq tasks: each file registers one."""

from fairseq_alone import plugin

plugin.register()
