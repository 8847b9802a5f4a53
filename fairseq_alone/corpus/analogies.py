"""Word analogies: a is to b as c is to which word? (Mikolov et al., 2013; Levy and Goldberg, 2014)"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fairseq_alone.corpus.unit_vectors import UnitVectors
from fairseq_alone.errors import UserError
from fairseq_alone.text_files import numbered_lines

# Cosines that are in memory at a time.
_CHUNK_VALUES = 2**24

# What keeps a quotient of 3CosMul finite (Levy and Goldberg, 2014, section 5).
_EPSILON = 1e-3

_Question = tuple[str, str, str, str]


@dataclass(frozen=True)
class Analogies:
    """Questions by section, as word2vec's ``questions-words.txt`` has them.

    Args:
        path: their file.
        sections: for each name its questions (a, b, c, answer); those before the first name are of section "".
    """

    path: str
    sections: dict[str, list[_Question]]


@dataclass(frozen=True)
class Score:
    """Answers to questions.

    Args:
        add: right ones by 3CosAdd.
        mul: right ones by 3CosMul.
        covered: questions whose four words all have a vector; the others are not asked.
        total: all questions.
    """

    add: int
    mul: int
    covered: int
    total: int

    def plus(self, other: "Score") -> "Score":
        """Those of both."""
        return Score(self.add + other.add, self.mul + other.mul, self.covered + other.covered, self.total + other.total)


def read_analogies(path: str, lower_case: bool = False) -> Analogies:
    """Read questions: ``: NAME`` begins a section, any other line has four words.

    Raises:
        UserError: there is no such file, a line of it is malformed, or it has no question; names file and line.
    """
    sections: dict[str, list[_Question]] = {}
    name = ""
    for number, line in numbered_lines(path):
        if not line:
            continue
        if line.startswith(":"):
            name = line[1:].strip()
            continue
        words = (line.lower() if lower_case else line).split()
        if len(words) != 4:
            raise UserError(f"{path}, line {number}: expected four words, or ': ' and the name of a section")
        sections.setdefault(name, []).append((words[0], words[1], words[2], words[3]))
    if not sections:
        raise UserError(f"{path}: holds no question")
    return Analogies(path, sections)


def missing_words(vectors: UnitVectors, analogies: Analogies) -> list[str]:
    """The words of the questions that have no vector, each once."""
    words = (word for questions in analogies.sections.values() for question in questions for word in question)
    return [word for word in dict.fromkeys(words) if word not in vectors.place]


def answer(
    vectors: UnitVectors, analogies: Analogies, progress: Callable[[int], object] = lambda count: None
) -> dict[str, Score]:
    """Answer the questions of each section. The words of a question are no answers to it.

    3CosAdd takes the word whose cosine with ``b - a + c`` is largest, 3CosMul the one with the largest ``cos(b) cos(c)
    / (cos(a) + 0.001)``, cosines being shifted to [0, 1].

    Args:
        vectors: V words; give a smaller V to ask of and answer with frequent words only.
        analogies: the questions.
        progress: is told how many questions are answered more.
    """
    places = list(vectors.place.values())
    units = vectors.units[places]
    row = {word: number for number, word in enumerate(vectors.place)}
    step = max(1, _CHUNK_VALUES // (3 * max(1, len(places))))
    scores = {}
    for name, questions in analogies.sections.items():
        known = np.array([[row[word] for word in asked] for asked in questions if all(w in row for w in asked)], int)
        known = known.reshape(-1, 4)
        add = mul = 0
        for start in range(0, len(known), step):
            a, b, c, right = known[start : start + step].T
            to_a, to_b, to_c = (units[side] @ units.T for side in (a, b, c))  # (N, V) each
            for sums, kind in ((to_b - to_a + to_c, "add"), (_quotient(to_a, to_b, to_c), "mul")):
                for side in (a, b, c):
                    np.put_along_axis(sums, side[:, None], -np.inf, 1)
                found = int((sums.argmax(1) == right).sum())
                add, mul = (add + found, mul) if kind == "add" else (add, mul + found)
        progress(len(questions))
        scores[name] = Score(add, mul, len(known), len(questions))
    return scores


def _quotient(to_a: np.ndarray, to_b: np.ndarray, to_c: np.ndarray) -> np.ndarray:
    return (1 + to_b) * (1 + to_c) / (2 * (1 + to_a) + 4 * _EPSILON)
