"""What fairseq gets to know of this package: one call registers everything."""

import importlib

from fairseq_alone import compat

#: Every module that registers something with fairseq.
REGISTRATIONS = (
    "criterions.cross_entropy_with_augmented_loss",
    "criterions.cross_entropy_with_distillation",
    "criterions.label_smoothed_cross_entropy_with_augmented_loss",
    "criterions.label_smoothed_cross_entropy_with_distillation",
    "criterions.label_smoothed_cross_entropy_with_self_normalization",
    "criterions.negative_sampling",
    "criterions.noise_contrastive_estimation",
    "criterions.output_layer_loss",
    "criterions.sampled_softmax",
    "criterions.self_normalization",
    "criterions.target_sampling",
    "criterions.window_ranking",
    "models.families",
    "optim.adam_muon",
    "optim.adam_rows",
    "optim.linear_over_epochs",
    "tasks.headline_generation",
    "tasks.truncated_bptt_lm",
    "tasks.word_vectors",
)

_registered = False


def register() -> None:
    """Register architectures, criterions, tasks and optimizers, and install the seams. Only the first call does it.

    Raises:
        UnsupportedVersionError: Python or fairseq has a version that does not work.
        UserError: there is no fairseq.
    """
    global _registered
    if _registered:
        return
    compat.require_fairseq()
    # Set before the work: the packages below call this function when they are imported.
    _registered = True
    from fairseq_alone import seams

    seams.install()
    for name in REGISTRATIONS:
        importlib.import_module(f"fairseq_alone.{name}")
