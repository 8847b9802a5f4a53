"""The comparison of two ways to use a model, against hypotheses and scores given by hand."""

import pytest
from toy_trained import toy_trained

from fairseq_alone.errors import UserError
from fairseq_alone.export.sentences import read_sentences
from fairseq_alone.export.verification import (
    Verification,
    concern,
    made_up_sentences,
    verify_scores,
    verify_translation,
)
from fairseq_alone.inference.backend import UnitHypothesis
from fairseq_alone.inference.fairseq_backend import FairseqBackend
from fairseq_alone.inference.fairseq_scorer import FairseqScorer


class Changed:
    """The model itself, but one hypothesis and one score differ."""

    def __init__(self, trained, longest):
        self.original = FairseqBackend(trained)
        self.max_source_units = longest

    def decode(self, sources, search, progress=None):
        found = self.original.decode(sources, search, progress)
        first, second = found[0][0], found[1][0]
        found[0][0] = UnitHypothesis(first.units + " w1", first.score)
        found[1][0] = UnitHypothesis(second.units, second.score - 0.25)
        return found


@pytest.fixture(scope="module")
def trained():
    return toy_trained("transformer_conventional")


def test_hypotheses_and_scores_are_compared(trained):
    done = []
    found = verify_translation(trained, Changed(trained, 30), ["w1 w2", "w3", "w4"], done.append)
    assert (found.sentences, found.equal) == (3, 2)
    assert found.largest_score_difference == pytest.approx(0.25)
    assert sum(done) == 6


def test_sentences_that_an_export_does_not_take_are_left_out(trained):
    assert verify_translation(trained, Changed(trained, 2), ["w1", "w1 w2", "w1 w2 w3"]).sentences == 2
    assert verify_translation(trained, Changed(trained, 2)).sentences == 32
    with pytest.raises(UserError, match="each has more than 2 units"):
        verify_translation(trained, Changed(trained, 2), ["w1 w2 w3"])


def test_log_probabilities_are_compared():
    trained = toy_trained("transformer_lm_conventional")

    class Other:
        def score(self, texts):
            first, *rest = FairseqScorer(trained).score(texts)
            return [[first[0] + 0.5, *first[1:]], *rest]

    found = verify_scores(trained, Other(), ["w1 w2", "w3"])
    assert (found.sentences, found.equal) == (2, 1)
    assert found.largest_score_difference == pytest.approx(0.5)


def test_made_up_sentences_are_frequent_words_of_every_length(trained):
    sentences = made_up_sentences(trained.target_dictionary, 5)
    assert sentences == made_up_sentences(trained.target_dictionary, 5)
    assert {len(sentence.split()) for sentence in sentences} == {1, 2, 3, 4, 5}
    assert set(" ".join(sentences).split()) <= {f"w{number}" for number in range(16)}
    trained.target_dictionary.pad_to_multiple_(64)
    assert "madeup" not in " ".join(made_up_sentences(trained.target_dictionary))


@pytest.mark.parametrize(
    ("equal", "difference", "quantization", "bad"),
    [
        (29, 1e-6, None, False),
        (28, 1e-6, None, True),
        (32, 2e-3, "float32", True),
        (32, float("nan"), None, True),
        (32, 2e-3, "float16", False),
        (32, 0.5, "fp16", True),
        (5, 0.5, "int8", False),
    ],
)
def test_what_is_a_concern(equal, difference, quantization, bad):
    problem = concern(Verification(32, equal, difference), quantization)
    assert (problem is not None) == bad
    if bad:
        assert f"only {equal} of 32 results are equal" in problem


def test_sentences_of_a_file(trained, tmp_path):
    path = tmp_path / "text"
    path.write_text("w1 w2\n\n w3\n")
    assert read_sentences(str(path), trained) == ["w1 w2", "w3"]
    path.write_text("w1\n" + "w1 " * 40 + "\n")
    with pytest.raises(UserError, match="text, line 2: has 40 units, and the model takes 39 at most"):
        read_sentences(str(path), trained)
    path.write_text("\n\n")
    with pytest.raises(UserError, match="has no text"):
        read_sentences(str(path), trained)
