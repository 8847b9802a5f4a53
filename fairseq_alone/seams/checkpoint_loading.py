"""fairseq's loading of checkpoints: errors become one sentence."""

import functools

from fairseq import checkpoint_utils
from fairseq.trainer import Trainer

from fairseq_alone.checkpoints import allow_checkpoint_types, checkpoint_errors, require_fairseq_state
from fairseq_alone.errors import UserError


def install() -> None:
    """Load safely, and say what is wrong with a file that cannot be loaded."""
    allow_checkpoint_types()
    _wrap_checkpoint_loading()
    _wrap_trainer_loading()


def _wrap_checkpoint_loading() -> None:
    # fairseq lets the errors of torch.load and of a missing key through as they are.
    original = checkpoint_utils.load_checkpoint_to_cpu

    @functools.wraps(original)
    def load_checkpoint_to_cpu(path, *args, **kwargs):
        with checkpoint_errors(path):
            state = original(path, *args, **kwargs)
            require_fairseq_state(state)
        return state

    checkpoint_utils.load_checkpoint_to_cpu = load_checkpoint_to_cpu


def _wrap_trainer_loading() -> None:
    # The trainer replaces every error of loading by "please ensure that the architectures match".
    original = Trainer.load_checkpoint

    @functools.wraps(original)
    def load_checkpoint(self, filename, *args, **kwargs):
        try:
            return original(self, filename, *args, **kwargs)
        except Exception as error:
            if isinstance(error.__context__, UserError):
                raise UserError(f"{filename}: {error.__context__}") from error
            raise

    Trainer.load_checkpoint = load_checkpoint
