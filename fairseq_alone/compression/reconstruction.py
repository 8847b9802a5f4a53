"""Given word vectors rebuilt by ALONE (section 3.1 of its paper): settings, and runs that go on when interrupted."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairseq_alone.checkpoints import file_errors, load_safely
from fairseq_alone.corpus.vector_file import NamedVectors
from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.files import replaced_on_success

if TYPE_CHECKING:
    import numpy as np

    from fairseq_alone.modules.alone_embedding import AloneEmbedding
    from fairseq_alone.modules.reconstruction import Reconstruction

#: The settings that files of earlier versions do not have.
UNSAID = {"matmul_precision": "highest"}

# How much work an interruption may cost.
_SECONDS_BETWEEN_SAVES = 20.0


@dataclass(frozen=True)
class ReconstructionSettings:
    """One network and its training; the defaults are the paper's, but for D_inter, of which it tries several.

    Args:
        inter_dim: D_inter.
        filter: ``"binary"``, ``"real"`` or ``"naive"``.
        fix_base: leave ``o`` untrained.
        base_dim: D_o; None is the size of the vectors.
        num_codebooks, codebook_size, zero_probability, filter_std: of the filters, see
            :class:`~fairseq_alone.modules.filters.FilterSettings`.
        init: ``"balanced"`` or ``"published"``, see :class:`~fairseq_alone.modules.alone_embedding.AloneEmbedding`.
        epochs: at least 1.
        batch: words of an update, at least 1.
        matmul_precision: of products in an update, ``"highest"``, ``"high"`` or ``"medium"``, as ``--matmul-precision``
            of fairseq-train; what is computed after the training is exact.

    Raises:
        SettingError: epochs or batch is outside its range.
    """

    inter_dim: int
    filter: str = "binary"
    fix_base: bool = False
    base_dim: int | None = None
    num_codebooks: int = 8
    codebook_size: int = 64
    zero_probability: float = 0.5
    filter_std: float = 1.0
    init: str = "balanced"
    epochs: int = 1000
    batch: int = 256
    matmul_precision: str = "highest"

    def __post_init__(self) -> None:
        for setting in ("epochs", "batch"):
            if getattr(self, setting) < 1:
                raise SettingError(setting, f"must be at least 1, got {getattr(self, setting)}")

    def build(self, num_words: int, dim: int, seed: int) -> AloneEmbedding:
        """A new embedding whose filters and initial values follow from the seed. Raises SettingError."""
        import torch

        from fairseq_alone.modules.alone_embedding import AloneEmbedding
        from fairseq_alone.modules.filters import FilterSettings

        filters = FilterSettings(
            num_words,
            dim if self.base_dim is None else self.base_dim,
            self.filter,
            self.num_codebooks,
            self.codebook_size,
            self.zero_probability,
            self.filter_std,
            seed,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return AloneEmbedding(filters, dim, inter_dim=self.inter_dim, fix_base=self.fix_base, init=self.init)


@dataclass(frozen=True)
class Rebuilt:
    """What came of one seed.

    Args:
        vectors: (V, D), float32.
        losses: of each epoch, see :class:`~fairseq_alone.modules.reconstruction.Reconstruction`.
        explained: the share of the given vectors' variance that the rebuilt ones have; 1 is all.
        parameters: trained values.
    """

    vectors: np.ndarray
    losses: list[float]
    explained: float
    parameters: int


def rebuild(
    given: NamedVectors,
    settings: ReconstructionSettings,
    seed: int,
    state: Path,
    progress: Callable[[int, float], object] = lambda epoch, loss: None,
) -> Rebuilt:
    """Train one seed, from where an interrupted training of the same settings stopped.

    Args:
        given: V words and their vectors.
        settings: the network and its training.
        seed: of filters, initial values and the order of words.
        state: a file to keep the training in; it is whole at any time, and stays when the training is done.
        progress: is told the epochs that are done and the loss of the last one, at the beginning and after each epoch.

    Raises:
        SettingError: a setting is outside its range.
        UserError: the state is damaged or of other settings or vectors.
    """
    import torch

    from fairseq_alone.modules.matmul_precision import matmul_precision
    from fairseq_alone.modules.reconstruction import Reconstruction

    embedding = settings.build(len(given), given.dim, seed).train()
    vectors = torch.from_numpy(given.vectors)
    training = Reconstruction(embedding, vectors, settings.batch, seed)
    identity = {**asdict(settings), "seed": seed, "vectors": digest(given)}
    if state.is_file():
        _load(training, state, identity)
    progress(training.epochs, training.losses[-1] if training.losses else float("nan"))
    saved = time.monotonic()
    while training.epochs < settings.epochs:
        with matmul_precision(settings.matmul_precision):
            loss = training.train_epoch()
        if training.epochs == settings.epochs or time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
            with replaced_on_success(str(state)) as part:
                torch.save({"settings": identity, **training.state_dict()}, part)
            saved = time.monotonic()
        progress(training.epochs, loss)
    with torch.no_grad():
        matrix = embedding.eval().matrix()
        error = (matrix - vectors).square().sum()
        variance = (vectors - vectors.mean(0)).square().sum()
    trained = sum(parameter.numel() for parameter in embedding.parameters() if parameter.requires_grad)
    return Rebuilt(matrix.numpy(), training.losses, 1.0 - (error / variance).item(), trained)


def digest(given: NamedVectors) -> str:
    """A short name of words and vectors, to tell whether they are the same."""
    found = hashlib.sha256("\n".join(given.words).encode())
    found.update(given.vectors.tobytes())
    return found.hexdigest()[:16]


def _load(training: Reconstruction, path: Path, identity: dict[str, Any]) -> None:
    with file_errors(str(path)):
        state = load_safely(str(path), str(path), map_location="cpu")
    if not isinstance(state, dict) or "settings" not in state:
        raise UserError(f"{path}: is no training of fairseq-alone reconstruct; remove it")
    known = {**UNSAID, **state["settings"]}
    differing = [name for name, value in identity.items() if known.get(name) != value]
    if differing:
        names = ", ".join(differing)
        raise UserError(f"{path}: belongs to a training of other settings ({names}); name a new folder, or remove it")
    training.load_state_dict(state)
