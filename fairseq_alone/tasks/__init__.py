"""fairseq tasks: each file registers one."""
