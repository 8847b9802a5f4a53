"""fairseq models: each file registers one model and its architectures."""
