"""``--arch skip_gram``: each word predicts the words around it (Mikolov et al., 2013), over any family."""

from typing import Any

from torch import Tensor

from fairseq_alone.corpus.windows import Predicted, WindowKind
from fairseq_alone.models.word_vector_model import WordVectorDecoder, WordVectorModel, require_windows


class SkipGramDecoder(WordVectorDecoder):
    """The features of a word are its vector, whatever word around it is predicted."""

    def forward(
        self, src_tokens: Tensor, left: Tensor | None = None, right: Tensor | None = None, **unused: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores and the features that they are made of.

        Args:
            src_tokens: (B, T + 2c).
            left, right: (B, T); which of the words around are in the window is for the criterion.
            unused: what fairseq gives to language models.

        Returns:
            Scores (B, T, 2c, V), the same for each of the 2c places around a word, and ``features`` (B, T, D).
        """
        require_windows("skip_gram", left)
        features = self.embed_tokens(src_tokens[:, self.reach : src_tokens.size(1) - self.reach])
        scores = self.output_layer(features).unsqueeze(2)
        return scores.expand(-1, -1, 2 * self.reach, -1), {"features": features}


class SkipGram(WordVectorModel):
    """Skip-gram: the input embedding is that of the word in the middle, the output's that of the words around it."""

    decoder_class = SkipGramDecoder
    window_help = "words on each side; the size of each window is drawn from 1 to N"
    default_window = 5

    @classmethod
    def kind_of_windows(cls, window: int) -> WindowKind:
        """Drawn windows, whose words are predicted."""
        return WindowKind(window, Predicted.AROUND, drawn=True)
