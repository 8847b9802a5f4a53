"""What a translator does around its backend: lines in and out, what is skipped, defaults, copies and pickles."""

import copy
import pickle

import pytest

from fairseq_alone.errors import SettingError
from fairseq_alone.inference.backend import Search, UnitHypothesis
from fairseq_alone.inference.hypothesis import Hypothesis
from fairseq_alone.inference.search_settings import SearchSettings
from fairseq_alone.inference.text_pipeline import TextPipeline
from fairseq_alone.inference.trained_model import Decoding, ModelFacts, TextSettings
from fairseq_alone.inference.translator import TooLong, Translator


class Backwards:
    """Writes each source backwards; its second best has a word more."""

    max_source_units = 4

    def __init__(self):
        self.calls: list[tuple[list[str], Search]] = []

    def decode(self, sources, search, progress=None):
        self.calls.append((list(sources), search))
        if progress:
            progress(len(sources))
        reversed_ = [" ".join(reversed(source.split())) for source in sources]
        both = [[UnitHypothesis(text, -1.0), UnitHypothesis(f"{text} more", -2.0)] for text in reversed_]
        return [best[: search.nbest] for best in both]


@pytest.fixture
def backend():
    return Backwards()


def translator(backend, length_encoding=None, **text):
    settings = TextSettings(**text)
    has_one = length_encoding not in (None, "none")
    facts = ModelFacts("here.pt", "translation", settings, Decoding(beam=3), has_one)
    return Translator(facts, TextPipeline(settings, "here.pt"), backend)


def test_a_string_gives_a_string_and_a_list_a_list(backend):
    model = translator(backend)
    assert model.translate("a b") == "b a"
    assert model.translate(["a b"]) == ["b a"]
    assert model.translate(text for text in ("a b", "c d")) == ["b a", "d c"]
    assert model.translate([]) == []
    assert len(backend.calls) == 3


def test_blank_lines_are_not_decoded_and_keep_their_places(backend):
    assert translator(backend).translate(["", "a b", " \u200b\t", "c", "\ufeff"]) == ["", "b a", "", "c", ""]
    assert backend.calls[0][0] == ["a b", "c"]
    assert translator(backend).translate(["", " "]) == ["", ""]
    assert len(backend.calls) == 1


def test_a_line_feed_within_a_text_makes_no_line(backend):
    assert translator(backend).translate("a\nb") == "b a"


def test_a_line_that_is_too_long_is_empty_and_named(backend, caplog):
    model = translator(backend)
    assert model.translate(["a", "1 2 3 4", "1 2 3 4 5"]) == ["a", "4 3 2 1", ""]
    assert [record.getMessage() for record in caplog.records] == [
        "line 3 has 5 units, but the model takes 4: it is left empty"
    ]
    named, done = [], []
    assert model.decode(["1 2 3 4 5", ""], SearchSettings(), done.append, named.append) == [[], []]
    assert named == [TooLong(1, 5, 4)]
    assert done == [2]


def test_progress_counts_every_line(backend):
    done = []
    translator(backend).decode(["a", "", "b", "1 2 3 4 5"], SearchSettings(), done.append, lambda line: None)
    assert done == [2, 2]


def test_hypotheses_are_the_best_first(backend):
    model = translator(backend)
    first, second = Hypothesis("b a", -1.0, "b a"), Hypothesis("b a more", -2.0, "b a more")
    assert model.hypotheses(["a b", ""]) == [[first, second], []]
    assert model.hypotheses(["a b"], nbest=1) == [[first]]


def test_settings_reach_the_search(backend):
    model = translator(backend)
    model.translate("a", beam=2, lenpen=0.5, sentences=7, max_len_a=1.0, max_len_b=9)
    model.translate("a")
    assert [search for _, search in backend.calls] == [Search(2, 0.5, 7, 1.0, 9), Search(3, 1.0, 32, 0.0, 200)]
    with pytest.raises(SettingError, match="nbest must not be greater than the beam, which is 2, got 3"):
        model.hypotheses(["a"], beam=2, nbest=3)


def test_a_desired_length_is_for_models_with_a_length_encoding(backend):
    model = translator(backend, "ldpe", target_units="characters")
    assert model.needs_desired_length
    assert model.translate("a b", desired_length=30) == "ba"
    assert backend.calls[0][1].desired_length == 30
    with pytest.raises(SettingError, match="desired_length is missing: here.pt writes to a length, in characters"):
        model.translate("a")
    with pytest.raises(SettingError, match="in pieces"):
        translator(backend, "lrpe").translate("a")
    for encoding in (None, "none"):
        assert not translator(backend, encoding).needs_desired_length
        with pytest.raises(SettingError, match="desired_length is not for here.pt: it was trained without a length"):
            translator(backend, encoding).translate("a", desired_length=30)
    assert len(backend.calls) == 1


def test_units_are_joined(backend):
    model = translator(backend, subwords="none", tokenizer="moses", tokenizer_lang="en", target_lang="de")
    (best,) = model.hypotheses(["Yes , no ."], nbest=1)[0]
    assert best == Hypothesis(". no, Yes", -1.0, ". no , Yes")


def test_what_is_no_string_is_refused(backend):
    with pytest.raises(TypeError, match="text 2 must be a string, got None"):
        translator(backend).translate(["a", None])


def test_copies_are_the_translator_itself_and_one_made_by_hand_is_not_pickled(backend):
    model = translator(backend)
    assert copy.copy(model) is model
    assert copy.deepcopy([model])[0] is model
    with pytest.raises(pickle.PicklingError, match="only what fairseq_alone.load gives"):
        pickle.dumps(model)
