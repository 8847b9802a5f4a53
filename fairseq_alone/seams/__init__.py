"""Where fairseq offers no hook: one file for each purpose, each with ``install()``, which replaces a method of fairseq.

Nothing is replaced by importing this package; :mod:`fairseq_alone.plugin` calls :func:`install` when fairseq loads it.
"""

import importlib

#: The files of this folder, in the order in which they are installed.
SEAMS = (
    "adam_in_pieces",
    "checkpoint_loading",
    "checkpoint_mismatch",
    "checkpoint_paths",
    "criterion_batches",
    "criterion_model",
    "criterion_updates",
    "embedding_start",
    "epoch_length",
    "model_flags",
    "object_broadcast",
    "numpy_names",
    "once_per_update",
    "matmul_precision",
    "moving_average",
    "tied_tensors",
    "amp",
    "carried_states",
    "save_dir",
    "skipped_samples",
    "unknown_flags",
    "user_errors",
    "quiet",
)


def install() -> None:
    """Install every seam. To be called once a process."""
    for name in SEAMS:
        importlib.import_module(f"fairseq_alone.seams.{name}").install()
