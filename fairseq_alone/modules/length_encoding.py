"""Position encodings that know how long the text shall be (Takase and Okazaki, NAACL 2019, section 3)."""

import torch
from torch import Tensor, nn

from fairseq_alone.errors import SettingError

KINDS = ("ldpe", "lrpe")

_LDPE_BASE = 10000.0


def length_difference_encoding(positions: Tensor, lengths: Tensor, dim: int) -> Tensor:
    """LDPE: the sinusoid of the remaining length, ``sin((len - pos) / 10000^(2i/d))``.

    Value ``2i`` of a vector is the sine, value ``2i + 1`` the cosine of the same angle. Past the length the remaining
    length is zero, then negative: the sines change their sign there, the cosines do not.

    Args:
        positions: (B, T), integer, from 0.
        lengths: (B,), integer: how many tokens each row shall have.
        dim: d, at least 1.

    Returns:
        (B, T, d), float32, right to float32's last digits at any length.
    """
    remaining = lengths.unsqueeze(1) - positions  # (B, 1) - (B, T) -> (B, T)
    base = torch.tensor(_LDPE_BASE, dtype=torch.float64, device=positions.device)
    return _sinusoid(remaining, base, dim)


def length_ratio_encoding(positions: Tensor, lengths: Tensor, dim: int) -> Tensor:
    """LRPE: a sinusoid whose base is the length, ``sin(pos / len^(2i/d))``; cosine likewise.

    The slowest angle reaches about 1 at the end of the text, whatever its length. A length below 1, which no text
    with an end symbol has, counts as 1: the formula would divide by zero.

    Args and Returns: see :func:`length_difference_encoding`.
    """
    base = lengths.clamp(min=1).view(-1, 1, 1).double()  # (B, 1, 1)
    return _sinusoid(positions, base, dim)


def _sinusoid(numerators: Tensor, base: Tensor, dim: int) -> Tensor:
    """Sine and cosine of ``numerator / base^(2i/d)`` in turn: (B, T) and (), or (B, 1, 1) -> (B, T, d)."""
    # In float32 an angle of 1000 would be wrong by 6e-5 already.
    pairs = torch.arange((dim + 1) // 2, dtype=torch.float64, device=numerators.device)
    angles = numerators.unsqueeze(2).double() * base ** (-2 * pairs / dim)  # (B, T, 1) * (d/2,) -> (B, T, d/2)
    values = torch.stack((angles.sin(), angles.cos()), dim=3).flatten(2)  # -> (B, T, d/2, 2) -> (B, T, d)
    return values[:, :, :dim].float()


_FUNCTIONS = {"ldpe": length_difference_encoding, "lrpe": length_ratio_encoding}


class LengthEncoding(nn.Module):
    """One of the encodings as a module without parameters.

    Args:
        kind: ``ldpe`` or ``lrpe``.
        embedding_dim: d, at least 1.

    Raises:
        SettingError: the kind is unknown or the size is less than 1.
    """

    def __init__(self, kind: str, embedding_dim: int):
        super().__init__()
        if kind not in KINDS:
            raise SettingError("kind", f"must be one of {', '.join(KINDS)}, got {kind}")
        if embedding_dim < 1:
            raise SettingError("embedding_dim", f"must be at least 1, got {embedding_dim}")
        self.kind = kind
        self.embedding_dim = embedding_dim

    def forward(self, positions: Tensor, lengths: Tensor) -> Tensor:
        """Integers (B, T) and (B,) -> (B, T, d), float32; see :func:`length_difference_encoding`."""
        return _FUNCTIONS[self.kind](positions, lengths, self.embedding_dim)

    def extra_repr(self) -> str:
        """Kind and size, for ``print(model)``."""
        return f"{self.kind}, {self.embedding_dim}"
