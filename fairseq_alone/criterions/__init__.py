"""fairseq criterions: each file registers one."""
