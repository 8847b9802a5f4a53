"""Trained models as products: bundles, compact files, and the formats of other tools; one file for each."""
