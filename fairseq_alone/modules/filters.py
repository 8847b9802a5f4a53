"""Filters: the fixed random vectors ``m_w`` that tell the words apart (section 3 of the ALONE paper).

A filter is a function of :class:`FilterSettings` alone, unless its codes are given. Nothing of it is stored but a
fingerprint, so the numbers drawn here must stay the same for years: all of them come from raw 64-bit words of numpy's
Philox generator, whose stream is guaranteed, and are turned into codes, Bernoulli and Gaussian values by the few lines
of this file, in float64. Given codes are data: they are stored.
"""

import dataclasses
import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fairseq_alone.errors import SettingError, UserError
from fairseq_alone.modules.codes import check_codes, code_type

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

# Formats of the fingerprint. That of given codes has one number more, a sum of them.
_RANDOM_CODES, _GIVEN_CODES = 1, 2
_KINDS_OF_CODES = {_RANDOM_CODES: "random", _GIVEN_CODES: "learned or given"}
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

    def memory(self, given_codes: bool = False) -> int:
        """Bytes of a :class:`FilterBank` in float32, which no file holds but for given codes: what Table 1 compares.

        Args:
            given_codes: whether the codes are of the smallest type that holds them, in place of int32.
        """
        naive = self.filter == "naive"
        vectors = self.num_embeddings if naive else self.num_codebooks * self.codebook_size
        codes = self.num_embeddings * (1 if naive else self.num_codebooks)
        return vectors * self.base_dim * 4 + codes * (code_type(self.codebook_size).itemsize if given_codes else 4)

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


_ALL = slice(None)


class FilterBank(nn.Module):
    """The filter vectors of a vocabulary, rebuilt from their settings (section 3.1, equation 2).

    Codes and codebooks are buffers that follow the module's device and dtype but are never saved. What is saved is the
    fingerprint ``filter_version``: settings and samples, compared on loading.

    With ``given_codes``, codes are data: they come from :meth:`set_codes` or from a checkpoint, which holds them as M
    whole numbers for each word, of one byte up to c = 256; their sum is part of the fingerprint. Codebooks are random
    all the same. Until the codes are there, looking up a filter raises the sentence :attr:`awaited_codes`.

    Args:
        settings: what determines the filters.
        padding_idx: the word whose filter is all zeros, or None.
        given_codes: whether the codes are others than the random ones.

    Raises:
        SettingError: codes for naive filters, which have none.
    """

    codes: Tensor
    codebooks: Tensor
    filter_version: Tensor

    def __init__(self, settings: FilterSettings, padding_idx: int | None = None, given_codes: bool = False):
        super().__init__()
        if given_codes and settings.filter == "naive":
            raise SettingError("codes", "must be random with a naive filter, which has no codes")
        self.settings = settings
        self.padding_idx = padding_idx
        self.given_codes = given_codes
        #: A sentence while the codes are not known.
        self.awaited_codes: str | None = "the codes of the filters are neither set nor loaded" if given_codes else None
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
        stored = torch.from_numpy(codes)
        if given_codes:
            stored = stored.to(code_type(settings.codebook_size))
        self.register_buffer("codes", stored, persistent=given_codes)
        self.register_buffer("codebooks", torch.from_numpy(sources).to(torch.get_default_dtype()), persistent=False)
        # The name holds "version" because fairseq's moving average of models multiplies every other tensor of a state
        # dict by a float. The type is int64 because half() and bfloat16() leave it alone.
        self.register_buffer("filter_version", torch.from_numpy(self._fingerprint(codes, sources)))

    def set_codes(self, codes: Tensor) -> None:
        """Give the words their codes; only with ``given_codes``.

        Args:
            codes: (V, M), whole numbers in [0, c).

        Raises:
            ValueError: another shape, or a code that is outside its range.
        """
        assert self.given_codes, "random codes follow from the settings"
        check_codes(codes, self.codes.shape, self.settings.codebook_size)
        self.codes.copy_(codes)
        fingerprint = self._fingerprint(self.codes.cpu().numpy(), self.codebooks.float().cpu().numpy())
        # Sampled values stay those of the exact codebooks, which may be in a half type by now.
        fingerprint[_SAMPLED_VALUES] = self.filter_version[_SAMPLED_VALUES].cpu().numpy()
        self.filter_version.copy_(torch.from_numpy(fingerprint))
        self.awaited_codes = None

    def forward(self, ids: Tensor) -> Tensor:
        """Filter vectors of words.

        Args:
            ids: (N,), integer, in [0, V).

        Returns:
            (N, D_o), in the dtype of the codebooks; zeros for the padding word.

        Raises:
            UserError: the codes are neither set nor loaded.
        """
        codes = self.word_codes(ids)  # (N, M)
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

    def word_codes(self, ids: Tensor | slice = _ALL) -> Tensor:
        """The codes of words, (N, M), int32; UserError: they are neither set nor loaded."""
        if self.awaited_codes is not None:
            raise UserError(self.awaited_codes)
        return self.codes[ids].int()  # torch takes bytes for a mask

    def extra_repr(self) -> str:
        """The settings, for ``print(model)``."""
        fields = ((field.name, getattr(self.settings, field.name)) for field in dataclasses.fields(self.settings))
        return ", ".join(f"{name}={value!r}" for name, value in fields)

    def _fingerprint(self, codes: np.ndarray, sources: np.ndarray) -> np.ndarray:
        settings = self.settings
        numbers = [
            _GIVEN_CODES if self.given_codes else _RANDOM_CODES,
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
        parts = [np.array(numbers, dtype=np.int64), sampled_codes.astype(np.int64), values]
        if self.given_codes:
            parts.append(np.array([_sum_of(codes)], dtype=np.int64))
        return np.concatenate(parts)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        saved = state_dict.get(prefix + "filter_version")
        if saved is not None:
            problem = fingerprint_difference(saved, self.filter_version)
            if problem:
                raise ValueError(f"the checkpoint's filters ({prefix.rstrip('.')}) differ from the model's: {problem}")
        codes = state_dict.get(prefix + "codes")
        if self.given_codes and saved is not None and codes is not None:
            if codes.shape != self.codes.shape or codes.dtype != self.codes.dtype or _sum_of(codes) != saved[-1]:
                raise ValueError(f"the checkpoint's codes ({prefix}codes) are damaged: their fingerprint is another")
            self.awaited_codes = None
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
_SAMPLED_VALUES = slice(len(_FIELDS) + _NUM_SAMPLES, len(_FIELDS) + 2 * _NUM_SAMPLES)


def read_fingerprint(fingerprint: Tensor) -> dict:
    """The settings in a fingerprint, by name. Raises ValueError when it is none, or of a newer format."""
    numbers = fingerprint.tolist()
    known = len(numbers) > 0 and numbers[0] in _KINDS_OF_CODES
    if not known or len(numbers) != _SAMPLED_VALUES.stop + (numbers[0] == _GIVEN_CODES):
        raise ValueError("the filter fingerprint is damaged or was written by a newer version of fairseq_alone")
    settings = dict(zip(_FIELDS, numbers[: len(_FIELDS)], strict=True))
    settings["codes"] = _KINDS_OF_CODES[settings.pop("format")]
    settings["filter"] = KINDS[settings["filter"]]
    for setting in ("zero_probability", "filter_std"):
        settings[setting] = float(np.int64(settings[setting]).view(np.float64))
    settings["seed"] = int(np.int64(settings["seed"]).view(np.uint64))
    return settings


def fingerprint_difference(saved: Tensor, expected: Tensor) -> str | None:
    """What differs between two fingerprints, in words that name the setting; None when they agree."""
    ours, theirs = read_fingerprint(expected), read_fingerprint(saved)
    if ours["codes"] != theirs["codes"]:
        return f"its codes are {theirs['codes']}, the model's are {ours['codes']}; see --alone-codes"
    for setting in _FIELDS[1:]:
        if setting not in UNUSED_SETTINGS[ours["filter"]] and ours[setting] != theirs[setting]:
            name = "the vocabulary size" if setting == "num_embeddings" else setting
            return f"{name} is {theirs[setting]} in the checkpoint and {ours[setting]} in the model"
    samples = saved.cpu() - expected.cpu()
    if ours["codes"] == "random" and samples[len(_FIELDS) : _SAMPLED_VALUES.start].any():
        return "equal settings gave other codes (was the checkpoint written by another version of fairseq_alone?)"
    if (samples[_SAMPLED_VALUES].abs() > _VALUE_TOLERANCE).any():
        return (
            "equal settings gave other filter values (was the checkpoint written by another version of fairseq_alone?)"
        )
    return None


def _sum_of(codes: np.ndarray | Tensor) -> int:
    """64 bits that change with any code, as a signed integer."""
    values = codes.cpu().numpy() if isinstance(codes, Tensor) else codes
    digest = hashlib.sha256(np.ascontiguousarray(values, dtype=np.dtype("<i4")).tobytes()).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


def _bits_as_integer(value: float, dtype: type[np.generic] = np.float64) -> int:
    """The 64 bits of a number, read as a signed integer."""
    return int(dtype(value).view(np.int64))
