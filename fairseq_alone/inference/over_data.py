"""A trained model over binarised data, as fairseq's own tools load it."""

import os
from typing import Any

from fairseq_alone.errors import UserError


def load_over_data(checkpoint: str, data: str) -> tuple[Any, Any]:
    """fairseq's model in evaluation mode, and its task over the data.

    Args:
        checkpoint: of a model of any task, of this package or stock fairseq's.
        data: the folder of the binarised data.

    Raises:
        UserError: a file is missing or unreadable.
    """
    from fairseq_alone import plugin

    plugin.register()
    from fairseq import checkpoint_utils

    from fairseq_alone.checkpoints import load_checkpoint

    if not os.path.isdir(data):
        raise UserError(f"{data}: there is no such folder")
    # fairseq would say less of a file that cannot be read.
    load_checkpoint(checkpoint, mmap=True)
    models, _, task = checkpoint_utils.load_model_ensemble_and_task([checkpoint], arg_overrides={"data": data})
    return models[0].eval(), task
