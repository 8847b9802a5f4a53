"""The only file that knows differences between versions, and the few places where fairseq offers no seam.

Importing it needs nothing but the standard library, so that a wrong Python or fairseq gets a sentence, not a traceback
from somewhere else.
"""

import functools
import importlib.util
import logging
import os
import re
import sys

from fairseq_alone.errors import UserError

PYTHON_VERSIONS = ((3, 11), (3, 12))
FAIRSEQ_REQUIREMENT = "fairseq-fixed==0.12.3.1"
_INSTALL = f"install torch first, then `pip install --no-build-isolation {FAIRSEQ_REQUIREMENT}`"


class UnsupportedVersionError(ImportError):
    """Python or fairseq is one that this package does not run with."""


def check_versions() -> bool:
    """Tell whether fairseq is there, without importing it.

    Raises:
        UnsupportedVersionError: Python or fairseq has the wrong version; the sentence says what to install.
    """
    if sys.version_info[:2] not in PYTHON_VERSIONS:
        known = " or ".join(f"{major}.{minor}" for major, minor in PYTHON_VERSIONS)
        found = ".".join(str(number) for number in sys.version_info[:2])
        raise UnsupportedVersionError(f"fairseq_alone needs Python {known}, but this is Python {found}.")
    # fairseq's import suggests a package that nothing here needs.
    logging.getLogger("fairseq.tasks.text_to_speech").setLevel(logging.WARNING)
    version = fairseq_version()
    if version is None:
        return False
    if tuple(int(number) for number in re.findall(r"\d+", version)[:3]) < (0, 12, 3):
        raise UnsupportedVersionError(
            f"fairseq_alone does not run with fairseq {version}, whose release is broken: "
            f"`pip uninstall fairseq`, then {_INSTALL}."
        )
    return True


def fairseq_version() -> "str | None":
    """The version of the fairseq that would be imported, read from its files; None when there is no fairseq."""
    spec = importlib.util.find_spec("fairseq")
    if spec is None or not spec.submodule_search_locations:
        return None
    for folder in spec.submodule_search_locations:
        for name in ("version.py", "version.txt"):
            path = os.path.join(folder, name)
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    match = re.search(r"\d+\.\d+[\w.]*", file.read())
                if match:
                    return match.group()
    return None


def require_fairseq() -> None:
    """Raise UserError with one sentence when fairseq is not installed."""
    if not check_versions():
        raise UserError(f"fairseq is not installed: {_INSTALL}.")


def install() -> None:
    """Prepare fairseq for this package. Called once, when fairseq imports it."""
    _allow_checkpoint_types()
    _wrap_checkpoint_loading()
    _wrap_trainer_loading()
    _tell_criterions_the_number_of_updates()
    _wrap_object_broadcast()
    _give_numpy_its_old_integer()
    _wrap_updates()
    _unscale_amp_gradients_once()
    _print_user_errors_as_one_sentence()


def load_checkpoint(path: str) -> dict:
    """Read a fairseq checkpoint to the CPU with torch's safe loader, which runs no code from the file.

    Args:
        path: the file.

    Returns:
        fairseq's dictionary with ``cfg``, ``model`` and so on.

    Raises:
        UserError: the file is missing, cut short, not written by fairseq, or holds anything but data.
    """
    import torch

    with _checkpoint_errors(path):
        with open(path, "rb") as file:
            state = torch.load(file, map_location="cpu", weights_only=True)
        _require_fairseq_state(state)
    return state


def _require_fairseq_state(state) -> None:
    if not isinstance(state, dict) or "model" not in state or (state.get("cfg") is None and state.get("args") is None):
        raise UserError("it has no `model` and `cfg` as fairseq writes them")


class _checkpoint_errors:  # noqa: N801 (reads as a statement)
    """Turn the many errors of a bad checkpoint file into one sentence that names it."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        import pickle

        if isinstance(error, FileNotFoundError):
            raise UserError(f"{self.path}: there is no such checkpoint") from error
        if isinstance(error, IsADirectoryError):
            raise UserError(f"{self.path}: is a folder, not a checkpoint") from error
        if isinstance(error, PermissionError):
            raise UserError(f"{self.path}: reading it is not permitted") from error
        if isinstance(error, UserError):
            raise UserError(f"{self.path}: not a fairseq checkpoint: {error}") from error
        if isinstance(error, pickle.UnpicklingError) and "Unsupported global" in str(error):
            blocked = re.search(r"GLOBAL (\S+)", str(error))
            name = blocked.group(1) if blocked else "an unknown type"
            raise UserError(f"{self.path}: holds {name}, which the safe loader does not allow") from error
        # Unpickling bytes that are no pickle can raise nearly anything.
        if isinstance(error, Exception) and not isinstance(error, MemoryError):
            raise UserError(f"{self.path}: not a fairseq checkpoint, or a damaged one") from error


def _allow_checkpoint_types() -> None:
    # All that a fairseq checkpoint holds besides tensors and containers: the flags, and counts of an --eval-bleu run.
    from argparse import Namespace

    import numpy
    import torch

    multiarray = (getattr(numpy, "_core", None) or numpy.core).multiarray
    types = [Namespace, numpy.ndarray, numpy.dtype]
    types += [type(numpy.dtype(kind)) for kind in ("int32", "int64", "float32", "float64", "bool")]
    for function in (multiarray._reconstruct, multiarray.scalar):
        # numpy 2 renamed the module; a checkpoint keeps the name of the numpy that wrote it.
        types += [(function, f"numpy.{core}.multiarray.{function.__name__}") for core in ("core", "_core")]
    torch.serialization.add_safe_globals(types)


def _wrap_checkpoint_loading() -> None:
    # fairseq lets the errors of torch.load and of a missing key through as they are.
    from fairseq import checkpoint_utils

    original = checkpoint_utils.load_checkpoint_to_cpu

    @functools.wraps(original)
    def load_checkpoint_to_cpu(path, *args, **kwargs):
        with _checkpoint_errors(path):
            state = original(path, *args, **kwargs)
            _require_fairseq_state(state)
        return state

    checkpoint_utils.load_checkpoint_to_cpu = load_checkpoint_to_cpu


def _wrap_trainer_loading() -> None:
    # The trainer replaces every error of loading by "please ensure that the architectures match".
    from fairseq.trainer import Trainer

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


def _tell_criterions_the_number_of_updates() -> None:
    # fairseq tells the model and the schedulers how many updates were made, but not the criterion.
    from fairseq.trainer import Trainer

    original = Trainer.set_num_updates

    @functools.wraps(original)
    def set_num_updates(self, num_updates):
        original(self, num_updates)
        if hasattr(self._criterion, "set_num_updates"):
            self._criterion.set_num_updates(num_updates)

    Trainer.set_num_updates = set_num_updates


def _wrap_object_broadcast() -> None:
    # fairseq sends objects between the processes of one job through torch.load, whose safe default refuses a
    # DictConfig. The sender is a process of this job, not a file, so a pickle is as safe as the job itself.
    import torch.distributed
    from fairseq.distributed import utils

    def broadcast_object_slow(obj, src_rank, group, dist_device):
        objects = [obj]
        source = torch.distributed.get_global_rank(group, src_rank) if group is not None else src_rank
        torch.distributed.broadcast_object_list(objects, src=source, group=group, device=dist_device)
        return objects[0]

    utils._broadcast_object_slow = broadcast_object_slow


def _wrap_updates() -> None:
    # No argument or hook of fairseq tells where an update begins and ends, yet these methods run at known points of it:
    # all_reduce_grads once, after all micro-batches and before gradients are reduced, scaled and clipped.
    from fairseq import models
    from fairseq.optim.fairseq_optimizer import FairseqOptimizer
    from fairseq.trainer import Trainer

    from fairseq_alone.models import matrix_updates

    train_step, zero_grad = Trainer.train_step, Trainer.zero_grad
    all_reduce_grads = FairseqOptimizer.all_reduce_grads
    wrap_model = models.DistributedFairseqModel

    @functools.wraps(train_step)
    def train_step_with_matrices(self, *args, **kwargs):
        with matrix_updates.update_of(self.model, self.cfg.distributed_training.ddp_backend):
            return train_step(self, *args, **kwargs)

    @functools.wraps(zero_grad)
    def zero_grad_with_matrices(self):
        matrix_updates.drop_gradients(self.model)
        zero_grad(self)

    @functools.wraps(all_reduce_grads)
    def all_reduce_grads_with_matrices(self, module):
        matrix_updates.push_gradients(module)
        all_reduce_grads(self, module)

    @functools.wraps(wrap_model)
    def wrap_model_with_matrices(args, model, process_group, device):
        def wrap():
            return wrap_model(args, model, process_group, device)

        return matrix_updates.wrap_for_ddp(wrap, args.ddp_backend, model, process_group)

    Trainer.train_step, Trainer.zero_grad = train_step_with_matrices, zero_grad_with_matrices
    FairseqOptimizer.all_reduce_grads = all_reduce_grads_with_matrices
    models.DistributedFairseqModel = wrap_model_with_matrices


def _unscale_amp_gradients_once() -> None:
    # With --amp, gradients are unscaled for clipping under the name of torch's optimizer. fairseq then steps under
    # another name, so the scaler unscales them again: at a scale of 65536 Adam sees them 65536 times too small, and its
    # epsilon counts that much more.
    from fairseq.optim.amp_optimizer import AMPOptimizer

    def step(self):
        self.scaler.step(self.optimizer)
        self.scaler.update()

    AMPOptimizer.step = step


def _give_numpy_its_old_integer() -> None:
    # fairseq asks numpy for compat.long, which newer ones do not have: in language models with one sentence a sample,
    # as fairseq-generate makes them, and in batches by length. Only these two modules see the substitute.
    import types

    import numpy
    from fairseq.data import language_pair_dataset, token_block_dataset

    if not hasattr(numpy, "compat"):
        substitute = types.ModuleType("numpy")
        substitute.__getattr__ = functools.partial(getattr, numpy)
        substitute.compat = types.SimpleNamespace(long=int)
        language_pair_dataset.np = token_block_dataset.np = substitute


def _print_user_errors_as_one_sentence() -> None:
    # fairseq's commands have no place to catch an error of a model.
    original = sys.excepthook

    def excepthook(kind, error, traceback):
        if isinstance(error, UserError):
            print(f"{os.path.basename(sys.argv[0])}: error: {error}", file=sys.stderr)
        else:
            original(kind, error, traceback)

    sys.excepthook = excepthook
