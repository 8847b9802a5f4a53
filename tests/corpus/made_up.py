"""Small corpora of random words, and slow counts of them."""

import numpy as np

from fairseq_alone.corpus.text import Corpus, Text


class Sentences(list):
    """A list of arrays, as fairseq's data sets are."""


def text(vocabulary=12, lines=30, longest=7, seed=1) -> Text:
    """Sentences of 1 to ``longest`` words; small numbers are frequent."""
    generator = np.random.default_rng(seed)
    chances = 1.0 / np.arange(1, vocabulary + 1)
    chances /= chances.sum()
    lengths = generator.integers(1, longest + 1, lines)
    sentences = Sentences(generator.choice(vocabulary, length, p=chances) for length in lengths)
    return Text(sentences, vocabulary, [f"w{number}" for number in range(vocabulary)], 0)


def pair(joined: bool, **settings) -> Corpus:
    """Two sides; where they are not joined, the second has more words."""
    return Corpus((text(**settings, seed=1), text(**settings, vocabulary=12 if joined else 15, seed=2)), joined)


def loop(corpus: Corpus, window: int, lines) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right, across and frequency, word by word."""
    size = corpus.vocabulary
    right, across, frequency = np.zeros((size, size)), np.zeros((size, size)), np.zeros(size)
    for line in lines:
        sides = [text.sentences[line] + corpus.first_row(side) for side, text in enumerate(corpus.texts)]
        for words in sides:
            for place, word in enumerate(words):
                frequency[word] += 1
                for distance in range(1, window + 1):
                    if place + distance < len(words):
                        right[word, words[place + distance]] += 1 / distance
        if len(sides) == 2:
            for own, others in (sides, sides[::-1]):
                for word in own:
                    for other in others:
                        across[word, other] += 1 / len(others)
    return right, across, frequency
