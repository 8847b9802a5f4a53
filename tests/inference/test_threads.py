"""One translator in several threads gives what it gives in one."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from toy_translators import toy_translator


@pytest.fixture
def often_switched():
    """Threads take turns as often as possible."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


SENTENCES = [" ".join(f"w{(3 * number + word) % 16}" for word in range(1 + number % 7)) for number in range(8)]


@pytest.mark.slow
def test_translations(often_switched):
    translator = toy_translator("transformer_alone", seed=3)
    beams = [1, 2, 3, 4]
    expected = [translator.hypotheses(SENTENCES, beam=beam) for beam in beams]
    assert len({best[0].text for best in expected[0]}) > 2
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda beam: translator.hypotheses(SENTENCES, beam=beam), beams)) == expected


@pytest.mark.slow
def test_headlines_of_four_lengths_at_once(often_switched):
    """Each thread has its own lengths; a model that kept them for all would mix them."""
    translator = toy_translator("transformer_alone_duc", task="headline_generation", length_encoding="ldpe")
    lengths = [3, 5, 8, 11]
    expected = [translator.hypotheses(SENTENCES, desired_length=length) for length in lengths]
    assert all(expected[0] != other for other in expected[1:])
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda length: translator.hypotheses(SENTENCES, desired_length=length), lengths)
        assert list(found) == expected
