"""``--arch cbow``: the words around predict the word in the middle (Mikolov et al., 2013), over any family."""

from typing import Any

from torch import Tensor

from fairseq_alone.corpus.windows import Predicted, WindowKind
from fairseq_alone.models.word_vector_model import WordVectorDecoder, WordVectorModel, require_windows
from fairseq_alone.modules.window_losses import band, window_means


class CBOWDecoder(WordVectorDecoder):
    """The features of a place are the mean of the vectors around it."""

    def forward(
        self, src_tokens: Tensor, left: Tensor | None = None, right: Tensor | None = None, **unused: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores and the features that they are made of.

        Args:
            src_tokens: (B, T + 2c).
            left, right: (B, T): each window, from ``t - left`` to ``t + right`` without t.
            unused: what fairseq gives to language models.

        Returns:
            Scores (B, T, V), and ``features`` (B, T, D).
        """
        require_windows("cbow", left)
        assert left is not None
        assert right is not None
        features = window_means(self.embed_tokens(src_tokens), band(left, right, self.reach))
        return self.output_layer(features), {"features": features}


class CBOW(WordVectorModel):
    """Continuous bag of words: the gradient is that of the mean of a window."""

    decoder_class = CBOWDecoder
    window_help = "words on each side; the size of each window is drawn from 1 to N"
    default_window = 5

    @classmethod
    def kind_of_windows(cls, window: int) -> WindowKind:
        """Drawn windows, whose middle is predicted."""
        return WindowKind(window, Predicted.CENTRE, drawn=True)
