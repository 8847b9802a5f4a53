"""Dropout with one mask for all time steps of a sequence (Gal and Ghahramani, NIPS 2016)."""

import torch
from torch import Tensor, nn

from fairseq_alone.errors import SettingError
from fairseq_alone.modules.lstm_sequence import lstm_sequence


def sequence_mask(sequences: Tensor, probability: float) -> Tensor:
    """Draw one inverted-dropout mask for each sequence, from PyTorch's global generator like all dropout.

    Args:
        sequences: (B, C), only for size, dtype and device.
        probability: share of zeros, in [0, 1).

    Returns:
        (B, C), each value 0 or ``1 / (1 - probability)``, without gradient.
    """
    keep = 1.0 - probability
    return torch.empty_like(sequences, requires_grad=False).bernoulli_(keep).div_(keep)


class VariationalDropout(nn.Module):
    """Dropout of ``(B, T, C)``: a sequence keeps or loses a feature at all its time steps. Nothing in evaluation.

    Args:
        probability: in [0, 1).

    Raises:
        SettingError: the probability is outside its range.
    """

    def __init__(self, probability: float):
        super().__init__()
        self.probability = _checked("probability", probability)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, C) -> (B, T, C)``; the masks are drawn anew at each call."""
        if not self.training or self.probability == 0.0:
            return x
        return x * sequence_mask(x[:, 0], self.probability).unsqueeze(1)  # (B, T, C) * (B, 1, C)

    def extra_repr(self) -> str:
        """The probability, for ``print(model)``."""
        return f"{self.probability}"


class VariationalLSTMCell(nn.LSTMCell):
    """An LSTM cell that masks its input and its previous hidden state, with the same masks at every time step.

    Parameters, names and shapes are those of ``nn.LSTMCell``. The masks of a batch are drawn at its first step and used
    until :meth:`start_sequences`. Nothing is masked in evaluation.

    Args:
        input_size: features of the input.
        hidden_size: features of the hidden state.
        input_dropout: probability for the input, in [0, 1).
        recurrent_dropout: probability for the previous hidden state, in [0, 1). The cell state is never masked.

    Raises:
        SettingError: a probability is outside its range.
    """

    _input_mask: Tensor | None  # (B, input size)
    _hidden_mask: Tensor | None  # (B, hidden size)

    def __init__(self, input_size: int, hidden_size: int, *, input_dropout: float, recurrent_dropout: float):
        super().__init__(input_size, hidden_size)
        self.input_dropout = _checked("input_dropout", input_dropout)
        self.recurrent_dropout = _checked("recurrent_dropout", recurrent_dropout)
        self.start_sequences()

    def start_sequences(self) -> None:
        """Forget the masks: the next step is the first one of a new batch."""
        self._input_mask = self._hidden_mask = None

    # Its hidden state is masked, so there must be one; nn.LSTMCell starts from zeros without.
    def forward(  # type: ignore[override]
        self, input: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """One time step, ``(B, input size), ((B, hidden size), (B, hidden size)) -> (hidden, cell)``, not masked."""
        hidden, cell = state
        self._draw_masks(input, hidden)
        if self._input_mask is not None:
            input = input * self._input_mask
        if self._hidden_mask is not None:
            hidden = hidden * self._hidden_mask
        return super().forward(input, (hidden, cell))

    def run(self, inputs: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """All time steps: (T, B, input size) and the state before -> hidden states (T, B, H) and the state after."""
        self._draw_masks(inputs[0], state[0])
        if self._input_mask is not None:
            inputs = inputs * self._input_mask
        return lstm_sequence(self, inputs, state, self._hidden_mask)

    def _draw_masks(self, input: Tensor, hidden: Tensor) -> None:
        if not self.training:
            self.start_sequences()
            return
        if self.input_dropout > 0.0 and self._input_mask is None:
            self._input_mask = sequence_mask(input, self.input_dropout)
        if self.recurrent_dropout > 0.0 and self._hidden_mask is None:
            self._hidden_mask = sequence_mask(hidden, self.recurrent_dropout)

    def extra_repr(self) -> str:
        """Sizes and probabilities, for ``print(model)``."""
        return f"{super().extra_repr()}, input_dropout={self.input_dropout}, recurrent_dropout={self.recurrent_dropout}"


def _checked(setting: str, probability: float) -> float:
    if not 0.0 <= probability < 1.0:
        raise SettingError(setting, f"must be at least 0 and less than 1, got {probability}")
    return probability
