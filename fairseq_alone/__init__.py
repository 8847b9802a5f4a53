"""Transformers whose embedding table is computed instead of stored, as a fairseq plugin.

fairseq imports this package for ``--user-dir``. Every registration module is imported here by name: fairseq's own
search of ``models/`` and ``tasks/`` runs only the first time a process imports the folder.
"""

from fairseq_alone import compat

__version__ = "0.1.0"

# Without fairseq, ``fairseq_alone.modules`` still works in any PyTorch model; nothing is registered then.
if compat.check_versions():
    compat.install()
    from fairseq_alone.criterions import (  # noqa: F401
        cross_entropy_with_augmented_loss,
        label_smoothed_cross_entropy_with_augmented_loss,
    )
    from fairseq_alone.models import (  # noqa: F401
        length_transformers,
        lstm_lm,
        transformer_alone,
        transformer_conventional,
        transformer_factorized,
        transformer_lm,
    )
    from fairseq_alone.optim import adam_muon  # noqa: F401
    from fairseq_alone.tasks import headline_generation  # noqa: F401
