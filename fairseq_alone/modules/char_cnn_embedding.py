"""Word vectors computed from characters (Kim et al., AAAI 2016), also as output words (Jozefowicz et al., 2016)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_alone.errors import SettingError
from fairseq_alone.modules.char_cnn_vectors import Layout, vectors_in_chunks
from fairseq_alone.modules.computed_embedding import ComputedEmbedding
from fairseq_alone.modules.rounding import as_computed_with
from fairseq_alone.modules.spelling import RARE, Spelling, numbers_of, places_of, spell

# Of the gates of highway layers, so that at first these carry what they get (Kim et al., section 4.1: "around -2").
_GATE_BIAS = -2.0
_AWAITED = "the spelling comes with a state dict, and none was loaded"
# Words that set the initial scale.
_NUM_SCALE_SAMPLES = 1024


class CharCnnEmbedding(ComputedEmbedding):
    """The embedding ``e_w = P highway(tanh(max over time of filters * characters of w)) + b + M c_w``.

    Filters of several widths look at the vectors of a word's characters, and of what each sees the largest value stays
    (Kim et al., 2016, section 3.1). ``num_highway`` highway layers follow (their section 3.2), and a projection to D_e.
    With ``correction_dim`` each word of the vocabulary has so many trained values of its own, ``c_w``, and M brings
    them to D_e: Jozefowicz et al. (2016, section 3.2) found that the softmax needs them to tell words apart that are
    spelled alike.

    Without corrections the trained size does not depend on V. The spelling is data, not trained: a checkpoint holds it,
    about one byte for each character. :meth:`vectors_of` gives vectors of words that are not in the vocabulary.

    At initialisation the mean of ``matrix()`` is zero and its standard deviation ``D_e ** -0.5``, that of a fairseq
    table; corrections are zero.

    Args:
        spelling: of the V words.
        embedding_dim: D_e.
        padding_idx: the word whose vector is zero, or None.
        character_dim: d, values of a character's vector; 15 in Kim et al., 16 in Jozefowicz et al.
        filters: for each size of filters their width w in characters and how many there are.
        num_highway: highway layers, 0 or more; 1 and 2 in Kim et al. (their Table 2).
        correction_dim: values of a word's correction; 0 is none, 128 in Jozefowicz et al.
        max_length: see :func:`~fairseq_alone.modules.spelling.spelling_of`; for words of :meth:`vectors_of`.
        awaits_spelling: the spelling has the right sizes, but its numbers come with a state dict.

    Raises:
        SettingError: a setting is outside its range.
    """

    spelling: Tensor
    code_points: Tensor

    def __init__(
        self,
        spelling: Spelling,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        character_dim: int,
        filters: Sequence[tuple[int, int]],
        num_highway: int = 1,
        correction_dim: int = 0,
        max_length: int = 32,
        awaits_spelling: bool = False,
    ):
        if embedding_dim < 1:
            raise SettingError("embedding_dim", f"must be at least 1, got {embedding_dim}")
        _check_settings(character_dim, filters, num_highway, correction_dim, max_length)
        super().__init__(spelling.num_entries, embedding_dim, padding_idx)
        self.rebuild = "update"
        self.num_characters = spelling.num_characters
        self.max_length = max_length
        self.correction_dim = correction_dim
        self._awaits_spelling = awaits_spelling
        self._places: tuple[Tensor, Tensor] | None = None
        # Of two dimensions, so that a compact file takes it for codes and spends as few bits on each as will do.
        self.register_buffer("spelling", spelling.characters.unsqueeze(0))  # (1, T)
        self.register_buffer("code_points", spelling.code_points)
        features = sum(count for _, count in filters)
        self.characters = nn.Parameter(torch.empty(spelling.num_characters - 1, character_dim))
        self.projection = nn.Parameter(torch.empty(embedding_dim, features))
        self.bias = nn.Parameter(torch.empty(embedding_dim))
        self.filter_bias = nn.Parameter(torch.empty(features))
        if correction_dim:
            self.corrections = nn.Parameter(torch.empty(self.num_embeddings, correction_dim))
            self.correction_projection = nn.Parameter(torch.empty(correction_dim, embedding_dim))
        self.filters = nn.ParameterList(torch.empty(count, width, character_dim) for width, count in filters)
        self.highway = nn.ParameterList(torch.empty(2 * features, features) for _ in range(num_highway))
        self.highway_biases = nn.ParameterList(torch.empty(2 * features) for _ in range(num_highway))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all trained values from PyTorch's global generator; corrections are zero."""
        self.characters.normal_()
        # Characters that were never seen say nothing.
        self.characters[RARE - 1] = 0
        for found in self.filters:
            # The largest of several values is not far from one, where the hyperbolic tangent still bends.
            found.normal_(std=0.5 * found[0].numel() ** -0.5)
        self.filter_bias.zero_()
        features = len(self.filter_bias)
        for matrix, bias in zip(self.highway, self.highway_biases, strict=True):
            matrix.normal_(std=features**-0.5)
            bias[:features] = 0
            bias[features:] = _GATE_BIAS
        self.projection.normal_(std=features**-0.5)
        self.bias.zero_()
        if self.correction_dim:
            self.corrections.zero_()
            # A step of Adam then moves a word's vector as far as it moves a table's row.
            self.correction_projection.normal_(std=self.correction_dim**-0.5)
        if not self._awaits_spelling:
            self._scale_as_a_table()

    def _scale_as_a_table(self) -> None:
        # All words have much in common, which would say nothing as an output word and hide the rest as an input word.
        words = self._all_ids()
        words = words[words != self.padding_idx] if self.padding_idx is not None else words
        vectors = self.compute(words[:: max(1, len(words) // _NUM_SCALE_SAMPLES)])
        mean = vectors.mean(0)
        deviation = (vectors - mean).std(correction=0) if len(vectors) else 0.0
        if deviation > 0:
            scale = self.embedding_dim**-0.5 / deviation
            self.projection.mul_(scale)
            self.bias.copy_(-mean * scale)

    def compute(self, ids: Tensor, input_dropout: bool = False) -> Tensor:
        """Vectors of words, ``(N,) -> (N, D_e)``, computed in float32 at least; see :meth:`ComputedEmbedding.compute`.

        Raises:
            RuntimeError: no spelling was loaded yet.
        """
        if self._awaits_spelling:
            raise RuntimeError(_AWAITED)
        if self._places is None:
            self._places = places_of(self.spelling[0], self.num_characters - len(self.code_points))
        starts, lengths = (places[ids] for places in self._places)
        vectors = self._vectors(self.spelling[0], starts, lengths)
        if self.correction_dim:
            with torch.autocast(ids.device.type, enabled=False):
                corrections = nn.functional.embedding(ids, self.corrections).to(vectors.dtype)  # (N, c)
                vectors = vectors + corrections @ self.correction_projection.to(vectors.dtype)
        if self.padding_idx is not None:
            vectors = vectors * (ids != self.padding_idx).unsqueeze(1)
        return vectors.to(self._dtype())

    def vectors_of(self, words: Sequence[str]) -> Tensor:
        """Vectors of any words, (N, D_e), from their spelling alone: without the corrections of the vocabulary's words.

        Args:
            words: as the dictionary would write them: ``low@@`` is a beginning that subword-nmt split off, ``▁low`` a
                word of sentencepiece. A character that the vocabulary does not have is like any other of those.

        Raises:
            RuntimeError: no spelling was loaded yet.
        """
        if self._awaits_spelling:
            raise RuntimeError(_AWAITED)
        numbers = numbers_of(self.code_points.tolist(), self.num_characters)
        spelled = [spell(word, numbers, self.max_length) for word in words]
        device = self.characters.device
        lengths = torch.tensor([len(word) for word in spelled], dtype=torch.long, device=device)
        characters = torch.tensor([number for word in spelled for number in word], dtype=torch.long, device=device)
        with as_computed_with(self):
            return self._vectors(characters, lengths.cumsum(0) - lengths, lengths).to(self._dtype())

    def _vectors(self, characters: Tensor, starts: Tensor, lengths: Tensor) -> Tensor:
        """Vectors (N, D_e) of words whose characters stand in ``characters`` from ``starts`` on, (N,) both."""

        def read(places: Tensor, longest: int) -> Tensor:
            offsets = torch.arange(longest, device=places.device)
            inside = offsets < lengths[places].unsqueeze(1)  # (M, P)
            return characters[(starts[places].unsqueeze(1) + offsets) * inside].long() * inside

        highway = [tensor for pair in zip(self.highway, self.highway_biases, strict=True) for tensor in pair]
        tensors = [self.characters, self.projection, self.bias, self.filter_bias, *self.filters, *highway]
        # Half types would add up the gradients of all words that share a character in few digits.
        wide = torch.float64 if self._dtype() == torch.float64 else torch.float32
        layout = Layout(len(self.filters), len(self.highway))
        return vectors_in_chunks(lengths, read, layout, [tensor.to(wide) for tensor in tensors])

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        given = [
            (name, state_dict[prefix + name]) for name in ("spelling", "code_points") if prefix + name in state_dict
        ]
        for name, tensor in given:
            own = getattr(self, name)
            # Other sizes are PyTorch's to complain of.
            if not self._awaits_spelling and tensor.shape == own.shape and not torch.equal(tensor.to(own), own):
                raise ValueError(
                    f"{prefix}{name} differs: the words of the checkpoint are not those of this dictionary"
                )
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._awaits_spelling = self._awaits_spelling and len(given) < 2

    def _forget_matrices(self) -> None:
        super()._forget_matrices()
        # The spelling is loaded and moved wherever matrices are forgotten.
        self._places = None

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_places": None}


def _check_settings(
    character_dim: int, filters: Sequence[tuple[int, int]], num_highway: int, correction_dim: int, max_length: int
) -> None:
    if character_dim < 1:
        raise SettingError("dim", f"must be at least 1, got {character_dim}")
    if not filters or any(width < 1 or count < 1 for width, count in filters):
        written = ",".join(f"{width}x{count}" for width, count in filters)
        raise SettingError("filters", f"must be widths and numbers of at least 1, like 1x32,3x64, got '{written}'")
    if num_highway < 0:
        raise SettingError("highway_layers", f"must be at least 0, got {num_highway}")
    if correction_dim < 0:
        raise SettingError("correction_dim", f"must be at least 0, got {correction_dim}")
    if max_length < 1:
        raise SettingError("max_length", f"must be at least 1, got {max_length}")
