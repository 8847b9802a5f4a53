"""fairseq's LSTM decoder without an encoder, over a given embedding and output layer, with ordinary or variational
dropout, layer by layer instead of step by step, and with a state that is carried from one piece of a text to the next.
"""

from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.models.lstm import LSTMDecoder
from torch import Tensor, nn

from fairseq_alone.modules import VariationalDropout, VariationalLSTMCell
from fairseq_alone.modules.carried_state import CarriedState
from fairseq_alone.modules.embedding import Embedding
from fairseq_alone.modules.lstm_sequence import lstm_sequence


class Scale(nn.Module):
    """Multiplication by a constant."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """``factor * x``."""
        return self.factor * x

    def extra_repr(self) -> str:
        """The factor, for ``print(model)``."""
        return f"{self.factor:g}"


class LSTMLanguageModelDecoder(LSTMDecoder):
    """fairseq's LSTM decoder as a language model.

    Args:
        dictionary: the words that are predicted.
        embed_tokens: the input embedding, any module with ``embedding_dim``.
        output_projection: maps features (..., out_embed_dim) to logits (..., V).
        scale_embedding: multiply the word vectors by the square root of their size, as fairseq's Transformer does. An
            embedding that starts small enough for the output layer is too small for the input of an LSTM.
        settings: ``hidden_size``, ``out_embed_dim``, ``num_layers``, ``dropout_in``, ``dropout_out``, ``residuals``;
            ``max_target_positions`` where sequences must not get longer.
    """

    def __init__(
        self,
        dictionary: Dictionary,
        embed_tokens: Embedding,
        output_projection: nn.Module,
        *,
        scale_embedding: bool = True,
        **settings: Any,
    ):
        super().__init__(
            dictionary,
            embed_dim=embed_tokens.embedding_dim,
            pretrained_embed=embed_tokens,
            attention=False,
            encoder_output_units=0,
            # So that fairseq makes no output layer; the one given takes its place, tied or not.
            share_input_output_embed=True,
            **settings,
        )
        self.output_projection = output_projection
        #: What the word vectors are multiplied by.
        self.embedding_scale = embed_tokens.embedding_dim**0.5 if scale_embedding else 1.0
        if scale_embedding:
            # Between the look-up and the first layer fairseq calls this module only.
            self.dropout_in_module: nn.Module = nn.Sequential(Scale(self.embedding_scale), self.dropout_in_module)
        self.carried_state = CarriedState()

    def forward(
        self,
        prev_output_tokens: Tensor,
        encoder_out: None = None,
        incremental_state: dict | None = None,
        src_lengths: Tensor | None = None,
        first_piece: bool | None = None,
    ) -> tuple[Tensor, None]:
        """Logits (B, T, V) and None; the arguments are those of :meth:`extract_features`."""
        features, attention = self.extract_features(prev_output_tokens, encoder_out, incremental_state, first_piece)
        return self.output_layer(features), attention

    def extract_features(
        self,
        prev_output_tokens: Tensor,
        encoder_out: None = None,
        incremental_state: dict | None = None,
        first_piece: bool | None = None,
    ) -> tuple[Tensor, None]:
        """Features (B, T, out_embed_dim) and None, like fairseq's.

        Args:
            prev_output_tokens: (B, T).
            encoder_out: there is none.
            incremental_state: of a search; each call is one step.
            first_piece: where each batch goes on where the one before ended: whether this is the first one of the text.
                None: every batch starts with an empty state.
        """
        if incremental_state is not None:
            return super().extract_features(prev_output_tokens, encoder_out, incremental_state)
        inputs = self.dropout_in_module(self.embed_tokens(prev_output_tokens)).transpose(0, 1)  # (T, B, D_e)
        batch = inputs.size(1)
        state = None
        if first_piece is not None:
            state = self.carried_state.begin(first_piece, self.training, batch)
        if state is None:
            empty = inputs.new_zeros(batch, self.hidden_size)
            state = [(empty, empty)] * self.num_layers
        ends = []
        outputs = inputs
        for cell, before in zip(self.layers, state, strict=True):
            outputs, end = self.run_layer(cell, inputs, before)
            ends.append(end)
            inputs = self.dropout_out_module(outputs)
            if self.residuals:
                # As fairseq does: to what a layer says, the state that it began the step with is added.
                inputs = inputs + torch.cat([before[0].unsqueeze(0), outputs[:-1]])
        if first_piece is not None:
            self.carried_state.keep(ends, self.training)
        features = self.dropout_out_module(outputs).transpose(0, 1)  # (B, T, H)
        if hasattr(self, "additional_fc"):
            features = self.dropout_out_module(self.additional_fc(features))
        return features, None

    def run_layer(
        self, cell: nn.LSTMCell, inputs: Tensor, before: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One layer: (T, B, input size) and the state before -> (T, B, H) and the state after."""
        return lstm_sequence(cell, inputs, before)

    def output_layer(self, features: Tensor) -> Tensor:
        """``(B, T, out_embed_dim) -> (B, T, V)``."""
        return self.output_projection(features)


class VariationalLSTMDecoder(LSTMLanguageModelDecoder):
    """The same with variational dropout (Gal and Ghahramani, NIPS 2016): one mask a sequence for all time steps.

    There is one mask for the word vectors (``dropout_in``), one for what goes from a layer to the next and one for the
    features of the last layer (both ``dropout_out``), and one in each layer for the hidden state on its way to the next
    time step (``recurrent_dropout``). They are drawn anew for each batch, and only in training.

    Args:
        recurrent_dropout: probability, in [0, 1).
        others: see :class:`LSTMLanguageModelDecoder`.
    """

    def __init__(self, *others: Any, recurrent_dropout: float, dropout_in: float, dropout_out: float, **settings: Any):
        # The word vectors: no dropout of fairseq's kind, then one mask for all steps.
        super().__init__(*others, dropout_in=0.0, dropout_out=dropout_out, **settings)
        self.dropout_in_module = nn.Sequential(self.dropout_in_module, VariationalDropout(dropout_in))
        # fairseq calls this one at every step, without saying for which layer; the cells and output_dropout replace it.
        self.dropout_out_module = nn.Identity()
        self.output_dropout = VariationalDropout(dropout_out)
        for number, ordinary in enumerate(self.layers):
            cell = VariationalLSTMCell(
                ordinary.input_size,
                ordinary.hidden_size,
                input_dropout=0.0 if number == 0 else dropout_out,
                recurrent_dropout=recurrent_dropout,
            )
            # fairseq's initial values.
            cell.load_state_dict(ordinary.state_dict())
            self.layers[number] = cell

    def extract_features(self, *args: Any, **kwargs: Any) -> tuple[Tensor, None]:
        """Features (B, T, out_embed_dim) and None, like fairseq's; each call draws new masks."""
        features, attention = super().extract_features(*args, **kwargs)
        return self.output_dropout(features), attention

    def run_layer(
        self, cell: nn.LSTMCell, inputs: Tensor, before: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One layer with the masks of its cell, drawn anew."""
        assert isinstance(cell, VariationalLSTMCell)
        cell.start_sequences()
        return cell.run(inputs, before)
