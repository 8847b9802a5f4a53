"""Running text as batches of words and their windows, for models of word vectors. Arrays only, no loop over words."""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from fairseq_alone.errors import SettingError


class Predicted(Enum):
    """What a model of word vectors says of a window."""

    #: The word in its middle.
    CENTRE = "centre"
    #: Each word around that in the middle.
    AROUND = "around"
    #: The word behind it.
    NEXT = "next"


@dataclass(frozen=True)
class WindowKind:
    """The windows of a model.

    Args:
        reach: c, words on each side; before :attr:`Predicted.NEXT`, all of them on one side.
        predicted: what the model says.
        drawn: as in word2vec: the size of each window is drawn from 1 to ``reach``, unknown words and the ends of
            sentences are left out, and frequent words often, see :func:`kept_share`. Else every word has the whole
            window, and what lies beyond a sentence is its end.
    """

    reach: int
    predicted: Predicted
    drawn: bool


@dataclass(frozen=True)
class Rows:
    """A text cut into rows of T words, each with c words of context on both sides.

    Args:
        words: (B, T + 2c), integer; words of other sentences may be among the context.
        left, right: (B, T): word t has its window from ``t - left`` to ``t + right``. None where all are whole.
        counted: (B, T), bool: false for what only fills a row.
    """

    words: np.ndarray
    left: np.ndarray | None
    right: np.ndarray | None
    counted: np.ndarray


def kept_share(counts: np.ndarray, threshold: float) -> np.ndarray:
    """How often a word is kept by the subsampling of word2vec, (V,) in [0, 1].

    That is ``sqrt(t / f) + t / f`` where it is below 1, for a word of relative frequency f, as in word2vec's and
    gensim's code; Mikolov et al. (2013, equation 5) have the first summand alone.

    Args:
        counts: (V,), how often each word occurs; 0 for symbols that are no words.
        threshold: t; 0 keeps all words.

    Raises:
        SettingError: the threshold is negative, or no word was counted.
    """
    if not 0.0 <= threshold < float("inf"):
        raise SettingError("subsample", f"must be at least 0, got {threshold}")
    counts = np.asarray(counts, dtype=np.float64)
    if threshold == 0.0:
        return np.ones(len(counts))
    if not counts.any():
        raise SettingError("subsample", "needs the counts of words, and the dictionary has none")
    ratio = np.divide(threshold * counts.sum(), counts, out=np.full(len(counts), np.inf), where=counts > 0)
    return np.minimum(1.0, np.sqrt(ratio) + ratio)


def sentence_batches(ends: np.ndarray, max_tokens: int) -> np.ndarray:
    """Cut a text into batches of whole sentences.

    Args:
        ends: (S,), ascending: where each sentence ends in the text, the position behind its last token.
        max_tokens: of a batch; a longer sentence is cut.

    Returns:
        (N + 1,): batch n is from entry n to entry n + 1.
    """
    total = int(ends[-1]) if len(ends) else 0
    cuts = [0]
    while cuts[-1] < total:
        furthest = cuts[-1] + max_tokens
        last = int(np.searchsorted(ends, furthest, side="right")) - 1
        whole = int(ends[last]) if last >= 0 else 0
        cuts.append(whole if whole > cuts[-1] else min(furthest, total))
    return np.array(cuts, dtype=np.int64)


def drawn_windows(
    tokens: np.ndarray,
    end: int,
    unknown: int,
    kept: np.ndarray,
    reach: int,
    length: int,
    generator: np.random.Generator,
) -> Rows:
    """The windows of word2vec over a piece of text.

    Words are left out first, so windows reach over them, but never beyond a sentence.

    Args:
        tokens: (N,), whole sentences, each with ``end`` behind it.
        end, unknown: the symbols that are no words.
        kept: (V,), of :func:`kept_share`.
        reach: c.
        length: T.
        generator: of what is drawn.
    """
    sentences = np.cumsum(tokens == end)
    chosen = _drawn_words(tokens, end, unknown, kept, generator)
    words, sentences = tokens[chosen], sentences[chosen]
    places = np.arange(len(words))
    sizes = generator.integers(1, reach + 1, len(words))
    left = np.minimum(sizes, places - np.searchsorted(sentences, sentences, side="left"))
    right = np.minimum(sizes, np.searchsorted(sentences, sentences, side="right") - 1 - places)
    return Rows(
        _rows(words, length, reach, end),
        _rows(left, length, 0, 0),
        _rows(right, length, 0, 0),
        _rows((left + right) > 0, length, 0, False),
    )


def subsampled(
    tokens: np.ndarray, end: int, unknown: int, kept: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """The tokens that subsampling leaves of whole sentences, with their ends; see :func:`drawn_windows`."""
    return tokens[(tokens == end) | _drawn_words(tokens, end, unknown, kept, generator)]


def _drawn_words(
    tokens: np.ndarray, end: int, unknown: int, kept: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    chosen: np.ndarray = (tokens != end) & (tokens != unknown) & (generator.random(len(tokens)) < kept[tokens])
    return chosen


def whole_windows(tokens: np.ndarray, end: int, reach: int, length: int) -> Rows:
    """Windows of one size over all words of a piece of text; beyond a sentence stands ``end``.

    Args:
        tokens: (N,), whole sentences, each with ``end`` behind it.
        end: its symbol, which is no word to look at.
        reach: c.
        length: T.
    """
    is_end = tokens == end
    # Behind each sentence as many ends as a window reaches, so that it never sees another sentence.
    apart = np.repeat(tokens, np.where(is_end, max(reach, 1), 1))
    return Rows(_rows(apart, length, reach, end), None, None, _rows(apart != end, length, 0, False))


def next_words(
    tokens: np.ndarray, start: int, stop: int, end: int, before: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Words and what is before them, over a text that is read on and on.

    Args:
        tokens: of the whole text.
        start, stop: of the piece, whose words are to be predicted.
        end: what stands before the text.
        before: n - 1, words before each; at least 1.
        length: T.

    Returns:
        Two arrays (B, n - 2 + T): words, and the place of each next word, or -1. The first n - 2 words of a row have
        none.
    """
    inputs = tokens[max(start - before, 0) : stop - 1]
    inputs = np.concatenate([np.full(before - (start - max(start - before, 0)), end, tokens.dtype), inputs])
    rows = -(-(stop - start) // length)
    padded = np.full(before - 1 + rows * length, end, tokens.dtype)
    padded[: len(inputs)] = inputs
    words = np.lib.stride_tricks.sliding_window_view(padded, before - 1 + length)[::length]
    places = np.full((rows, before - 1 + length), -1, np.int64)
    numbers = np.arange(start, start + rows * length).reshape(rows, length)
    places[:, before - 1 :] = np.where(numbers < stop, numbers, -1)
    return words, places


def _rows(values: np.ndarray, length: int, margin: int, fill: int | bool) -> np.ndarray:
    """Values (M,) as rows (B, margin + T + margin), at least one, which overlap by two margins."""
    rows = max(-(-len(values) // length), 1)
    padded = np.full(rows * length + 2 * margin, fill, values.dtype)
    padded[margin : margin + len(values)] = values
    return np.lib.stride_tricks.sliding_window_view(padded, length + 2 * margin)[::length]
