"""The target distributions of the augmented loss, as numbers and as the command shows them."""

import json
import math

import pytest
import torch
from fairseq.data import Dictionary

from fairseq_alone.cli import main
from fairseq_alone.inference.soft_targets import sample_words, soft_targets

# The first two words are alike, the third is not.
MATRIX = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_probabilities_are_those_of_the_paper(temperature):
    first, third = soft_targets(MATRIX, [0, 2], temperature, top=2)
    weights = [math.exp(score / temperature) for score in (4.0, 2.0, 0.0)]
    probabilities = [weight / sum(weights) for weight in weights]
    assert [word for word, _ in first.words] == [0, 1]
    assert [value for _, value in first.words] == pytest.approx(probabilities[:2])
    assert first.own == pytest.approx(probabilities[0])
    entropy = -sum(value * math.log(value) for value in probabilities)
    assert first.perplexity == pytest.approx(math.exp(entropy))
    assert third.words[0][0] == 2


def test_a_flat_target_has_the_perplexity_of_the_vocabulary():
    (found,) = soft_targets(torch.zeros(7, 3), [4], 1.0, top=50)
    assert (len(found.words), found.perplexity) == (7, pytest.approx(7.0))


def test_words_go_from_the_first_to_the_last():
    dictionary = Dictionary()
    for number in range(1000):
        dictionary.add_symbol(f"w{number}")
    words = [dictionary[word] for word in sample_words(dictionary, 4)]
    assert words == ["w0", "w9", "w99", "w999"]


def test_the_command_shows_what_the_model_would_be_taught(data, trained, capsys):
    checkpoint = trained / "checkpoint_last.pt"
    arguments = ["soft-targets", str(checkpoint), str(data)]
    assert main([*arguments, "--json", "--temperature", "1", "1000000"]) == 0
    rows = json.loads(capsys.readouterr().out)
    words = sorted({row["word"] for row in rows})
    assert len(rows) == 2 * len(words)
    vocabulary = len(Dictionary.load(str(next(data.glob("dict.de.txt")))))
    assert all(row["perplexity"] == pytest.approx(vocabulary, rel=1e-3) for row in rows if row["temperature"] > 1)

    assert main([*arguments, words[0], "--top", "2"]) == 0
    assert capsys.readouterr().out.splitlines()[2].startswith(f"| {words[0]} ")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["unheard-of"], "unheard-of: the dictionary has no such word"),
        (["--top", "0"], "--top must be at least 1, got 0"),
        (["--temperature", "0"], "--temperature must be a positive number, got 0"),
    ],
)
def test_mistakes(data, trained, capsys, flags, message):
    assert main(["soft-targets", str(trained / "checkpoint_last.pt"), str(data), *flags]) == 1
    assert message in capsys.readouterr().err
