"""What is compiled for TorchScript: fairseq's beam search over a Transformer, and language models."""
# ruff: noqa: UP006, UP035 (TorchScript reads these annotations)

from typing import Any, Dict, List

from torch import Tensor, nn


class ScriptedTranslation(nn.Module):
    """fairseq's beam search and the network under it.

    Args:
        generator: fairseq's ``SequenceGenerator``.
        network: the model.
        padding: its id.
    """

    def __init__(self, generator: Any, network: nn.Module, padding: int):
        super().__init__()
        self.generator = generator
        self.network = network
        self.padding = padding
        self.largest_beam: int = generator.vocab_size - 1

    def forward(
        self,
        src_tokens: Tensor,
        beam: int = 5,
        lenpen: float = 1.0,
        max_len_a: float = 0.0,
        max_len_b: int = 200,
    ) -> List[List[Dict[str, Tensor]]]:
        """The hypotheses of each sentence, best first, each with ``tokens`` (T) and a ``score`` in nats.

        Args:
            src_tokens: ids (B, T), int64, each sentence with the end symbol, padded on the left.
            beam: its size.
            lenpen: exponent of the length by which the score is divided.
            max_len_a, max_len_b: the longest output, ``a * T + b`` units.
        """
        self.generator.beam_size = min(beam, self.largest_beam)
        self.generator.len_penalty = lenpen
        self.generator.max_len_a = max_len_a
        self.generator.max_len_b = max_len_b
        lengths = src_tokens.ne(self.padding).sum(1)  # (B)
        found: List[List[Dict[str, Tensor]]] = self.generator(
            {"net_input": {"src_tokens": src_tokens, "src_lengths": lengths}}
        )
        return found


class ScriptedLanguageModel(nn.Module):
    """A language model without its search.

    Args:
        decoder: fairseq's.
    """

    def __init__(self, decoder: nn.Module):
        super().__init__()
        self.decoder = decoder

    def forward(self, src_tokens: Tensor) -> Tensor:
        """Ids (B, T), int64, after the start symbol, to log-probabilities (B, T, V) of each next unit."""
        return self.decoder(src_tokens)[0].log_softmax(-1)
