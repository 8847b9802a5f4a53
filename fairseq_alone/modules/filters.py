"""Filters: the fixed random vectors ``m_w`` that tell the words apart (section 3 of the ALONE paper).

A filter is a function of :class:`FilterSettings` alone. Nothing of it is stored but a fingerprint, so the numbers drawn
here must stay the same for years: all of them come from raw 64-bit words of numpy's Philox generator, whose stream is
guaranteed, and are turned into codes, Bernoulli and Gaussian values by the few lines of this file, in float64.
"""

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fairseq_alone.errors import SettingError

KINDS = ("binary", "real", "naive")

#: Settings that have no effect on filters of a kind.
UNUSED_SETTINGS = {
    "binary": ("filter_std",),
    "real": ("zero_probability",),
    "naive": ("num_codebooks", "codebook_size", "filter_std"),
}

# Each purpose draws from a stream of its own, so that more codes never shift the codebooks.
_CODES, _CODEBOOKS, _NAIVE = range(3)
_STREAM_STRIDE = 16

_FINGERPRINT_FORMAT = 1
_NUM_SAMPLES = 16
# Sampled filter values are kept as integers in units of 2**-20; Gaussian values may differ by a unit in the last place
# between two mathematics libraries, hence the tolerance.
_VALUE_UNIT = 2.0**-20
_VALUE_TOLERANCE = 4


@dataclasses.dataclass(frozen=True)
class FilterSettings:
    """All that determines the filters of a vocabulary.

    Args:
        num_embeddings: vocabulary size V, at least 1.
        base_dim: D_o, the dimension of a filter vector and of the base vector ``o``.
        filter: ``"binary"`` (Bernoulli sources, logical OR, equation 2), ``"real"`` (Gaussian sources, summed) or
            ``"naive"`` (an explicit binary V x D_o filter, as in Table 1 of the paper).
        num_codebooks: M, 8 in all experiments of the paper (section 3.1).
        codebook_size: c, the number of source vectors in a codebook, 64 in all experiments of the paper.
        zero_probability: p_o, the expected share of zeros of a binary or naive filter, in (0, 1), 0.5 in the paper.
        filter_std: standard deviation of the values of a real filter after summing, positive.
        seed: any integer from 0 to 2**64 - 1.
        stream: which of several independent filters of the same seed, from 0. Untied embeddings differ by it.

    Raises:
        SettingError: a value is outside its range, or ``c ** M < V``, so that the words cannot have unique codes.
    """

    num_embeddings: int
    base_dim: int
    filter: str = "binary"
    num_codebooks: int = 8
    codebook_size: int = 64
    zero_probability: float = 0.5
    filter_std: float = 1.0
    seed: int = 1
    stream: int = 0

    def __post_init__(self) -> None:
        if self.filter not in KINDS:
            raise SettingError("filter", f"must be one of {', '.join(KINDS)}, got {self.filter!r}")
        for setting in ("num_embeddings", "base_dim", "num_codebooks", "codebook_size"):
            if getattr(self, setting) < 1:
                raise SettingError(setting, f"must be at least 1, got {getattr(self, setting)}")
        if not 0.0 < self.zero_probability < 1.0:
            raise SettingError(
                "zero_probability", f"must lie between 0 and 1, both excluded, got {self.zero_probability}"
            )
        if not 0.0 < self.filter_std < float("inf"):
            raise SettingError("filter_std", f"must be a positive number, got {self.filter_std}")
        if not 0 <= self.seed < 2**64:
            raise SettingError("seed", f"must be from 0 to 2**64 - 1, got {self.seed}")
        if self.stream < 0:
            raise SettingError("stream", f"must be at least 0, got {self.stream}")
        if self.filter != "naive" and num_codes(self.codebook_size, self.num_codebooks) < self.num_embeddings:
            raise SettingError(
                "codebook_size",
                f"is too small: {self.codebook_size} ** {self.num_codebooks} codes cannot tell "
                f"{self.num_embeddings} words apart; raise it or the number of codebooks",
            )

    def generator(self, purpose: int) -> np.random.Philox:
        """The raw bit stream for one purpose."""
        key = np.array([self.seed, self.stream * _STREAM_STRIDE + purpose], dtype=np.uint64)
        return np.random.Philox(key=key)


def num_codes(codebook_size: int, num_codebooks: int) -> int:
    """How many codes there are, ``c ** M``, or a number larger than any vocabulary: the power may have no end."""
    return codebook_size ** min(num_codebooks, 64)


def uniform(generator: np.random.Philox, *shape: int) -> np.ndarray:
    """Float64 values, uniform in [0, 1), of the given shape: the upper 53 bits of one raw word each."""
    raw = generator.random_raw(int(np.prod(shape))).reshape(shape)
    return (raw >> np.uint64(11)) * 2.0**-53


def bernoulli(generator: np.random.Philox, probability: float, *shape: int) -> np.ndarray:
    """Float32 ones with the given probability, else zeros."""
    return (uniform(generator, *shape) < probability).astype(np.float32)


def gaussian(generator: np.random.Philox, std: float, *shape: int) -> np.ndarray:
    """Float32 values of a normal distribution with mean 0, by the Box-Muller transform in float64."""
    radius = np.sqrt(-2.0 * np.log1p(-uniform(generator, *shape)))
    return (std * radius * np.cos(2.0 * np.pi * uniform(generator, *shape))).astype(np.float32)


def unique_codes(settings: FilterSettings) -> np.ndarray:
    """Codes (V, M), int32 in [0, c), no two rows alike.

    Rows that repeat an earlier row are drawn again, in ascending order, until none is left. Where the codes are nearly
    used up (V > c^M / 4) that would take long: there, all c^M codes are sorted by random keys instead.
    """
    generator = settings.generator(_CODES)
    size, num_codebooks, num_words = settings.codebook_size, settings.num_codebooks, settings.num_embeddings
    if num_codes(size, num_codebooks) < 4 * num_words:
        keys = generator.random_raw(size**num_codebooks)
        numbers = np.argsort(keys, kind="stable")[:num_words]
        columns = [numbers // size**position % size for position in range(num_codebooks)]
        return np.stack(columns, axis=1).astype(np.int32)

    def draw(rows: int) -> np.ndarray:
        return (generator.random_raw(rows * num_codebooks) % np.uint64(size)).astype(np.int32).reshape(rows, -1)

    codes = draw(num_words)
    while True:
        _, first = np.unique(codes, axis=0, return_index=True)
        repeated = np.setdiff1d(np.arange(num_words), first)
        if repeated.size == 0:
            return codes
        codes[repeated] = draw(repeated.size)


class FilterBank(nn.Module):
    """The filter vectors of a vocabulary, rebuilt from their settings (section 3.1, equation 2).

    Codes and codebooks are buffers that follow the module's device and dtype but are never saved. What is saved is the
    fingerprint ``filter_version``: settings and samples, compared on loading.

    Args:
        settings: what determines the filters.
        padding_idx: the word whose filter is all zeros, or None.
    """

    codes: Tensor
    codebooks: Tensor
    filter_version: Tensor

    def __init__(self, settings: FilterSettings, padding_idx: int | None = None):
        super().__init__()
        self.settings = settings
        self.padding_idx = padding_idx
        generator = settings.generator(_NAIVE if settings.filter == "naive" else _CODEBOOKS)
        columns = (settings.num_codebooks, settings.codebook_size, settings.base_dim)
        if settings.filter == "naive":
            vectors = bernoulli(generator, 1.0 - settings.zero_probability, settings.num_embeddings, settings.base_dim)
            codes = np.arange(settings.num_embeddings, dtype=np.int32).reshape(-1, 1)
            sources = vectors.reshape(1, settings.num_embeddings, settings.base_dim)
        elif settings.filter == "binary":
            codes = unique_codes(settings)
            sources = bernoulli(generator, 1.0 - settings.zero_probability ** (1.0 / settings.num_codebooks), *columns)
        else:
            codes = unique_codes(settings)
            sources = gaussian(generator, settings.filter_std * settings.num_codebooks**-0.5, *columns)
        # (V, M) and (M, c, D_o); naive: one codebook with a column for each word.
        self.register_buffer("codes", torch.from_numpy(codes), persistent=False)
        self.register_buffer("codebooks", torch.from_numpy(sources).to(torch.get_default_dtype()), persistent=False)
        # The name holds "version" because fairseq's moving average of models multiplies every other tensor of a state
        # dict by a float. The type is int64 because half() and bfloat16() leave it alone.
        self.register_buffer("filter_version", torch.from_numpy(self._fingerprint(codes, sources)))

    def forward(self, ids: Tensor) -> Tensor:
        """Filter vectors of words.

        Args:
            ids: (N,), integer, in [0, V).

        Returns:
            (N, D_o), in the dtype of the codebooks; zeros for the padding word.
        """
        codes = self.codes[ids]  # (N, M)
        vectors = self.codebooks[0][codes[:, 0]]  # (N, D_o)
        for position in range(1, codes.size(1)):
            source = self.codebooks[position][codes[:, position]]
            if self.settings.filter == "binary":
                torch.maximum(vectors, source, out=vectors)  # logical OR of zeros and ones
            else:
                vectors += source
        if self.padding_idx is not None:
            vectors[ids == self.padding_idx] = 0
        return vectors

    def extra_repr(self) -> str:
        """The settings, for ``print(model)``."""
        fields = ((field.name, getattr(self.settings, field.name)) for field in dataclasses.fields(self.settings))
        return ", ".join(f"{name}={value!r}" for name, value in fields)

    def _fingerprint(self, codes: np.ndarray, sources: np.ndarray) -> np.ndarray:
        settings = self.settings
        numbers = [
            _FINGERPRINT_FORMAT,
            KINDS.index(settings.filter),
            settings.num_embeddings,
            settings.base_dim,
            settings.num_codebooks,
            settings.codebook_size,
            _bits_as_integer(settings.zero_probability),
            _bits_as_integer(settings.filter_std),
            _bits_as_integer(settings.seed, np.uint64),
            settings.stream,
            -1 if self.padding_idx is None else self.padding_idx,
        ]
        flat_codes, flat_sources = codes.reshape(-1), sources.reshape(-1)
        sampled_codes = flat_codes[np.linspace(0, flat_codes.size - 1, _NUM_SAMPLES).astype(np.int64)]
        sampled_values = flat_sources[np.linspace(0, flat_sources.size - 1, _NUM_SAMPLES).astype(np.int64)]
        values = np.rint(sampled_values.astype(np.float64) / _VALUE_UNIT).astype(np.int64)
        return np.concatenate([np.array(numbers, dtype=np.int64), sampled_codes.astype(np.int64), values])

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        saved = state_dict.get(prefix + "filter_version")
        if saved is not None:
            problem = fingerprint_difference(saved, self.filter_version)
            if problem:
                raise ValueError(f"the checkpoint's filters ({prefix.rstrip('.')}) differ from the model's: {problem}")
        super()._load_from_state_dict(state_dict, prefix, *args)


_FIELDS = (
    "format",
    "filter",
    "num_embeddings",
    "base_dim",
    "num_codebooks",
    "codebook_size",
    "zero_probability",
    "filter_std",
    "seed",
    "stream",
    "padding_idx",
)


def read_fingerprint(fingerprint: Tensor) -> dict:
    """The settings in a fingerprint, by name. Raises ValueError when it is none, or of a newer format."""
    numbers = fingerprint.tolist()
    if len(numbers) != len(_FIELDS) + 2 * _NUM_SAMPLES or numbers[0] != _FINGERPRINT_FORMAT:
        raise ValueError("the filter fingerprint is damaged or was written by a newer version of fairseq_alone")
    settings = dict(zip(_FIELDS, numbers[: len(_FIELDS)], strict=True))
    settings["filter"] = KINDS[settings["filter"]]
    for setting in ("zero_probability", "filter_std"):
        settings[setting] = float(np.int64(settings[setting]).view(np.float64))
    settings["seed"] = int(np.int64(settings["seed"]).view(np.uint64))
    return settings


def fingerprint_difference(saved: Tensor, expected: Tensor) -> str | None:
    """What differs between two fingerprints, in words that name the setting; None when they agree."""
    ours, theirs = read_fingerprint(expected), read_fingerprint(saved)
    for setting in _FIELDS:
        if setting not in UNUSED_SETTINGS[ours["filter"]] and ours[setting] != theirs[setting]:
            name = "the vocabulary size" if setting == "num_embeddings" else setting
            return f"{name} is {theirs[setting]} in the checkpoint and {ours[setting]} in the model"
    samples = saved[len(_FIELDS) :].cpu() - expected[len(_FIELDS) :].cpu()
    if samples[:_NUM_SAMPLES].any():
        return "equal settings gave other codes (was the checkpoint written by another version of fairseq_alone?)"
    if (samples[_NUM_SAMPLES:].abs() > _VALUE_TOLERANCE).any():
        return (
            "equal settings gave other filter values (was the checkpoint written by another version of fairseq_alone?)"
        )
    return None


def _bits_as_integer(value: float, dtype: type[np.generic] = np.float64) -> int:
    """The 64 bits of a number, read as a signed integer."""
    return int(dtype(value).view(np.int64))
