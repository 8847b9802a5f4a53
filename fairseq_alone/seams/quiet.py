"""Warnings about how fairseq calls its libraries: nobody who uses it can do anything about them.

Only these are hidden. What fairseq says before it loads the plugin cannot be: that is one line, about tensorboardX. The
tools of this package hide it themselves (see :func:`fairseq_alone.compat.check_versions`).
"""

import warnings

#: The beginning of the message as a regular expression, the kind, and the module that it is about (any: ``""``).
HIDDEN = (
    # fairseq composes its configuration in the way of hydra 1.0.
    (r"hydra\.experimental\.(initialize|compose)\(\) is no longer experimental", UserWarning, r"hydra\."),
    (r"\s*The version_base parameter is not specified", UserWarning, r"hydra\."),
    (r"In 'config': Usage of deprecated keyword in package header", UserWarning, r"hydra\."),
    (r"\s*The strict flag in the compose API is deprecated", UserWarning, r"hydra\."),
    # hydra blames the command, whose module has a different name each time.
    (r"\s*'config' is validated against ConfigStore schema with the same name", UserWarning, ""),
    # fairseq asks for pinned memory, and for CUDA's autocast under its old name, on a CPU as well. With --amp on a CPU
    # a warning about the GradScaler stays, which says the same.
    (r"'pin_memory' argument is set as true but no accelerator is found", UserWarning, r"torch\.utils\.data\."),
    (r"`torch\.cuda\.amp\.autocast\(args\.\.\.\)` is deprecated", FutureWarning, r"fairseq\."),
    (r"CUDA is not available or torch_xla is imported\. Disabling autocast", UserWarning, r"torch\.(cuda\.)?amp\."),
)


def install() -> None:
    """Hide these warnings; flags of Python such as ``-W error`` are kept for all others."""
    for message, kind, module in HIDDEN:
        warnings.filterwarnings("ignore", message, kind, module)
