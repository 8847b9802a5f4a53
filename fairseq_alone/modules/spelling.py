"""How the words of a vocabulary are spelled: whole numbers for characters, the marks of subwords understood."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fairseq_alone.errors import SettingError

# Numbers of characters. Checkpoints depend on them: they must never change.
NOTHING, RARE, BEGIN, END, GOES_ON, SPACE = range(6)
_NUM_MARKS = 6

# What subword-nmt puts behind a piece that goes on, and sentencepiece before one that begins a word.
_JOINER, _SPACE_MARK = "@@", "▁"


@dataclass(frozen=True)
class Spelling:
    """The characters of V entries, end to end.

    A number means: 0 nothing, 1 any character without a number of its own, 2 to 5 marks (an entry begins, it ends, it
    goes on in the next one, a space before it), then one for each special entry, then those of ``code_points``. So the
    numbers tell where an entry ends: at a special one, and at a mark that it ends or goes on.

    Attributes:
        characters: (T,), whole numbers in [1, C), of the smallest type that holds them.
        code_points: (K,), int32, rising: Unicode's numbers of the characters that have one here, C - K to C - 1.
        num_entries: V.
        num_characters: C.
        num_cut: how many entries were too long.
    """

    characters: Tensor
    code_points: Tensor
    num_entries: int
    num_characters: int
    num_cut: int = 0

    @property
    def num_alike(self) -> int:
        """How many entries are spelled like one before them."""
        starts, lengths = places_of(self.characters, self.num_characters - len(self.code_points))
        values = self.characters.numpy()
        pairs = zip(starts.tolist(), lengths.tolist(), strict=True)
        return self.num_entries - len({values[start : start + length].tobytes() for start, length in pairs})


def spelling_of(entries: Sequence[str | None], max_length: int, min_entries: int = 1) -> Spelling:
    """Spell the entries of a vocabulary.

    Args:
        entries: V texts; None is a special entry, which gets a character of its own.
        max_length: of an entry with more characters, its marks not counted, only the first and the last are taken, half
            of this number each; at least 1.
        min_entries: a character that fewer entries have has no number of its own; at least 1.

    Raises:
        SettingError: a setting is outside its range.
    """
    for setting, value in (("max_length", max_length), ("min_entries", min_entries)):
        if value < 1:
            raise SettingError(setting, f"must be at least 1, got {value}")
    texts = [_split(entry)[1] for entry in entries if entry is not None]
    known = Counter(character for text in texts for character in set(text))
    code_points = sorted(ord(character) for character, count in known.items() if count >= min_entries)
    num_characters = _NUM_MARKS + len(entries) - len(texts) + len(code_points)
    numbers = numbers_of(code_points, num_characters)
    special = itertools.count(_NUM_MARKS)
    spelled = [[next(special)] if entry is None else spell(entry, numbers, max_length) for entry in entries]
    return Spelling(
        torch.tensor(list(itertools.chain.from_iterable(spelled)), dtype=character_type(num_characters)),
        torch.tensor(code_points, dtype=torch.int32),
        len(entries),
        num_characters,
        sum(len(text) > max_length for text in texts),
    )


def awaited_spelling(num_entries: int, num_characters: int, num_code_points: int, length: int) -> Spelling:
    """A spelling of given sizes, V, C, K and T, whose numbers a checkpoint will bring."""
    characters = torch.full((length,), RARE, dtype=character_type(num_characters))
    return Spelling(characters, torch.zeros(num_code_points, dtype=torch.int32), num_entries, num_characters)


def places_of(characters: Tensor, first_code_point: int) -> tuple[Tensor, Tensor]:
    """Where the entries of a :class:`Spelling` begin and how long they are, (V,) each, int64.

    Args:
        characters: (T,).
        first_code_point: C - K.
    """
    special = (characters > SPACE) & (characters < first_code_point)
    ends = (special | (characters == END) | (characters == GOES_ON)).nonzero().squeeze(1) + 1  # (V,)
    starts = torch.cat((ends.new_zeros(1), ends[:-1]))[: len(ends)]
    return starts, ends - starts


def spell(entry: str, numbers: dict[int, int], max_length: int) -> list[int]:
    """The characters of an entry as numbers, between its two marks.

    ``low`` begins and ends, ``low@@`` begins and goes on, ``▁low`` has a space before it and ends.

    Args:
        entry: as a dictionary writes it.
        numbers: of characters, by Unicode's.
        max_length: see :func:`spelling_of`.
    """
    before, text, behind = _split(entry)
    if len(text) > max_length:
        kept = max_length // 2
        text = text[: max_length - kept] + text[len(text) - kept :]
    return [before, *(numbers.get(ord(character), RARE) for character in text), behind]


def numbers_of(code_points: Iterable[int], num_characters: int) -> dict[int, int]:
    """The numbers of characters by Unicode's; see :class:`Spelling`."""
    code_points = list(code_points)
    return {point: num_characters - len(code_points) + place for place, point in enumerate(code_points)}


def character_type(num_characters: int) -> torch.dtype:
    """What characters are stored as: a byte where C of them can be told apart by one."""
    if num_characters <= 256:
        return torch.uint8
    return torch.int16 if num_characters <= 2**15 else torch.int32


def _split(entry: str) -> tuple[int, str, int]:
    """The first mark of an entry, its text and the last mark."""
    before, behind = BEGIN, END
    if entry.startswith(_SPACE_MARK):
        before, entry = SPACE, entry.removeprefix(_SPACE_MARK)
    if entry.endswith(_JOINER) and entry != _JOINER:
        behind, entry = GOES_ON, entry.removesuffix(_JOINER)
    return before, entry, behind
