"""The noise that flags ask for."""

import numpy as np

from fairseq_alone.criterions.sampled_mixin import require_at_least
from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.modules.noise import NoiseDistribution, log_uniform_weights, unigram_weights

#: Distributions that are the same for every batch.
FIXED_PROPOSALS = ["unigram", "uniform", "log_uniform"]


def require_noise_flags(prefix: str, num_samples: int, seed: int, power: float) -> None:
    """Raise UserError, which names the flag, for values outside their range."""
    require_at_least(f"{prefix}-num-samples", num_samples, 1)
    require_at_least(f"{prefix}-seed", seed, 0)
    try:
        unigram_weights(np.ones(1), power)
    except SettingError as error:
        raise UserError(f"--{prefix}-{error.setting} {error.problem}") from error


def noise_distribution(proposal: str, power: float, counts: np.ndarray) -> NoiseDistribution:
    """One of :data:`FIXED_PROPOSALS` for words that occur so often, (V,)."""
    if proposal == "log_uniform":
        return NoiseDistribution(log_uniform_weights(counts))
    return NoiseDistribution(unigram_weights(counts, 0.0 if proposal == "uniform" else power))
