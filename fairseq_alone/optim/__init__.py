"""Optimizers, as fairseq knows them."""
