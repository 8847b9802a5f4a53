"""Whether an exported model does what the model did: both translate, or score, the same sentences.

Equal hypotheses are equal in every unit. In floating point both ways compute the same function in another order, so
scores differ by rounding, about 1e-6, and a hypothesis changes only where the search met two of almost the same score.
More than that is a mistake of the export or of the other tool, and :func:`concern` has a sentence for it. Numbers of
16 bits round 1,000 times as much. Integers change the function itself; how much is for the reader to judge.

Sentences in a real language cannot be made up for an unknown model. Unless some are given, words are drawn from the
frequent ones of its dictionary: nonsense, which a model finds harder than text, but of its own units, and every part of
the network takes part.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairseq_alone.errors import UserError
from fairseq_alone.inference.backend import Backend, Scorer, Search
from fairseq_alone.inference.trained_model import TrainedModel

if TYPE_CHECKING:
    from fairseq.data import Dictionary

#: How many sentences are made up, of how many units at most, and of how many of the most frequent ones.
SENTENCES, LONGEST, FREQUENT = 32, 24, 500

#: Units of the output of a model with a length encoding.
DESIRED_LENGTH = 10

#: The least share of equal hypotheses of an export in floating point.
LEAST_EQUAL = 0.9

#: The largest difference of scores, in nats a unit, by type of the numbers; others change the function.
LARGEST_DIFFERENCE = {
    **{"float32": 1e-3, "fp32": 1e-3},
    **{"float16": 2e-2, "fp16": 2e-2, "bfloat16": 1e-1},
}


@dataclass(frozen=True)
class Verification:
    """What two ways to use one model had in common.

    Args:
        sentences: how many were compared.
        equal: how many had the same best hypothesis; of a language model, how many texts had no unit whose
            log-probability differed by more than 0.001.
        largest_score_difference: between the scores of equal hypotheses, in nats, 0 if there are none; of a language
            model, between the log-probabilities of a unit.
    """

    sentences: int
    equal: int
    largest_score_difference: float


def made_up_sentences(dictionary: Dictionary, longest: int = LONGEST) -> list[str]:
    """32 sentences of 1 to ``longest`` units, each of frequent words of a dictionary; always the same.

    Raises:
        UserError: the dictionary has no words.
    """
    generator = random.Random(1)
    # fairseq fills a dictionary up to a multiple of 8; the most frequent words stand first.
    words = [word for word in dictionary.symbols[dictionary.nspecial :] if not word.startswith("madeupword")]
    if not words:
        raise UserError("the dictionary of the model has no words")
    lengths = [1 + number % longest for number in range(SENTENCES)]
    return [" ".join(generator.choice(words[:FREQUENT]) for _ in range(length)) for length in lengths]


def verify_translation(
    trained: TrainedModel,
    exported: Backend,
    sentences: Sequence[str] | None = None,
    progress: Callable[[int], object] | None = None,
) -> Verification:
    """Translate by fairseq and by the export, with the model's own beam and length penalty.

    An output is at most twice as long as the longest source and 10 units, so that a model that never ends costs little.

    Args:
        trained: the model.
        exported: the same, exported.
        sentences: units with a space between, none empty, none longer than :func:`longest_input`; None makes some up.
            Those that are too long for the export are left out.
        progress: called with the number of sentences that one of the two has just done.

    Raises:
        UserError: no sentence is short enough for the export.
    """
    from fairseq_alone.inference.fairseq_backend import FairseqBackend

    original = FairseqBackend(trained)
    assert trained.source_dictionary is not None  # language models do not translate
    if sentences is None:
        longest = min(LONGEST, original.max_source_units, exported.max_source_units)
        sentences = made_up_sentences(trained.source_dictionary, longest)
    # An export with fewer positions says itself that it takes no longer ones.
    sentences = [units for units in sentences if len(units.split()) <= exported.max_source_units]
    if not sentences:
        raise UserError(f"--sentences: each has more than {exported.max_source_units} units, the most of the export")
    decoding = trained.decoding
    # Not in proportion to the source: fairseq takes the longest one of a batch, others each for itself.
    longest_output = 2 * max(len(units.split()) for units in sentences) + 10
    encoding = trained.config["model"].get("length_encoding") or "none"
    search = Search(
        decoding.beam,
        decoding.lenpen,
        decoding.sentences,
        max_len_a=0.0,
        max_len_b=longest_output,
        desired_length=None if encoding == "none" else DESIRED_LENGTH,
    )
    pairs = [
        (first[0], second[0])
        for first, second in zip(
            original.decode(sentences, search, progress), exported.decode(sentences, search, progress), strict=True
        )
    ]
    # Scores of different hypotheses say nothing about rounding.
    differences = [abs(first.score - second.score) for first, second in pairs if first.units == second.units]
    return Verification(len(pairs), len(differences), max(differences, default=0.0))


def verify_scores(trained: TrainedModel, exported: Scorer, texts: Sequence[str] | None = None) -> Verification:
    """Score texts with a language model by fairseq and by the export.

    Args:
        trained: the model.
        exported: the same, exported.
        texts: units with a space between, none empty; None makes some up.
    """
    from fairseq_alone.inference.fairseq_scorer import FairseqScorer

    if texts is None:
        texts = made_up_sentences(trained.target_dictionary, min(LONGEST, longest_input(trained)))
    differences = [
        max(abs(one - other) for one, other in zip(first, second, strict=True))
        for first, second in zip(FairseqScorer(trained).score(texts), exported.score(texts), strict=True)
    ]
    equal = sum(difference <= LARGEST_DIFFERENCE["float32"] for difference in differences)
    return Verification(len(differences), equal, max(differences))


def longest_input(trained: TrainedModel) -> int:
    """The longest source of a translation, or text of a language model, in units without the end symbol."""
    model: Any = trained.model
    if trained.kind != "language_model":
        return int(model.max_positions()[0]) - 1
    # Some read a symbol for the beginning of the text, too.
    return int(model.max_positions()) - (2 if trained.config["task"].get("add_bos_token") else 1)


def concern(found: Verification, quantization: str | None) -> str | None:
    """What is wrong, as a sentence; None where all is well or the type of the numbers promises nothing.

    Args:
        found: the comparison.
        quantization: the type of the numbers; None is float32.
    """
    bound = LARGEST_DIFFERENCE.get(quantization or "float32")
    if bound is None:
        return None
    # A comparison with NaN is false.
    if found.equal >= LEAST_EQUAL * found.sentences and found.largest_score_difference <= bound:
        return None
    return (
        f"only {found.equal} of {found.sentences} results are equal and scores differ by up to "
        f"{found.largest_score_difference:.2g} (expected: {LEAST_EQUAL:.0%}, {bound:g}); "
        "do not use these files before you know why"
    )
