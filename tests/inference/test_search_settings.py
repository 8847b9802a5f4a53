"""Settings of the search: defaults, what is given, and what is out of range."""

import math

import pytest

from fairseq_alone.errors import SettingError
from fairseq_alone.inference.backend import Search
from fairseq_alone.inference.search_settings import SearchSettings
from fairseq_alone.inference.trained_model import Decoding

DEFAULTS = Decoding(beam=4, lenpen=0.6, sentences=64, max_len_a=1.5, max_len_b=10)


def test_what_is_not_given_is_the_models_default():
    assert SearchSettings().search(DEFAULTS) == Search(4, 0.6, 64, 1.5, 10, nbest=4)


def test_what_is_given_counts():
    given = SearchSettings(beam=3, nbest=2, lenpen=0, sentences=1, max_len_a=0, max_len_b=7, desired_length=30)
    assert given.search(DEFAULTS) == Search(3, 0.0, 1, 0.0, 7, nbest=2, desired_length=30)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"beam": 0}, "beam must be a whole number from 1, got 0"),
        ({"beam": True}, "beam must be a whole number from 1, got True"),
        ({"beam": 2.0}, "beam must be a whole number from 1, got 2.0"),
        ({"nbest": 5}, "nbest must not be greater than the beam, which is 4, got 5"),
        ({"beam": 2, "nbest": 3}, "nbest must not be greater than the beam, which is 2, got 3"),
        ({"nbest": 0}, "nbest must be a whole number from 1, got 0"),
        ({"lenpen": "0.6"}, "lenpen must be a number, got '0.6'"),
        ({"lenpen": math.nan}, "lenpen must be a number, got nan"),
        ({"sentences": -1}, "sentences must be a whole number from 1, got -1"),
        ({"max_len_a": -0.5}, "max_len_a must not be negative, got -0.5"),
        ({"max_len_b": 0}, "max_len_b must be a whole number from 1, got 0"),
        ({"desired_length": 0}, "desired_length must be a whole number from 1, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(given, problem):
    with pytest.raises(SettingError) as refusal:
        SearchSettings(**given).search(DEFAULTS)
    assert str(refusal.value) == problem
