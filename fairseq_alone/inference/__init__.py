"""Trained models in use: what a path holds, raw text in and raw text out."""
