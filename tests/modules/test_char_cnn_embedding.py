"""Vectors from characters against a loop in float64, the chunks, words outside of the vocabulary, the start."""

import copy
import math
import random

import pytest
import torch

from fairseq_alone.errors import SettingError
from fairseq_alone.modules import CharCnnEmbedding, TiedProjection, build_embedding, char_cnn_vectors
from fairseq_alone.modules.rounding import Rounding
from fairseq_alone.modules.spelling import awaited_spelling, places_of, spelling_of

WORDS = [None, None, "low", "low@@", "lower", "a", "newest@@", "wide", "▁wide", "dew", "bel", "lab", "an"]
DIM = 5


def small(words=WORDS, dim=DIM, padding_idx=1, **settings):
    torch.manual_seed(1)
    given = {"character_dim": 3, "filters": [(1, 2), (3, 4), (6, 2)], "correction_dim": 2, **settings}
    embedding = CharCnnEmbedding(spelling_of(words, 9), dim, padding_idx, **given)
    with torch.no_grad():
        for parameter in embedding.parameters():
            # Nothing at zero, where a mistake would not be seen.
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return embedding


def loop(embedding, numbers, correction=None):
    """One vector as Kim et al. (2016) write it in their sections 3.1 and 3.2, number by number."""
    values = {name: tensor.tolist() for name, tensor in embedding.state_dict().items()}
    width = max(found.size(1) for found in embedding.filters)
    nothing = [0.0] * embedding.characters.size(1)
    read = [values["characters"][number - 1] for number in numbers] + [nothing] * width
    features, biases = [], iter(values["filter_bias"])
    for place in range(len(embedding.filters)):
        for found in values[f"filters.{place}"]:
            bias = next(biases)
            seen = [
                math.tanh(
                    sum(
                        weight * value
                        for row, character in zip(found, read[start:], strict=False)
                        for weight, value in zip(row, character, strict=True)
                    )
                    + bias
                )
                for start in range(max(len(numbers) - len(found) + 1, 1))
            ]
            features.append(max(seen))
    for layer in range(len(embedding.highway)):
        found = [
            sum(weight * value for weight, value in zip(row, features, strict=True)) + bias
            for row, bias in zip(values[f"highway.{layer}"], values[f"highway_biases.{layer}"], strict=True)
        ]
        gates = [1 / (1 + math.exp(-value)) for value in found[len(features) :]]
        features = [
            gate * max(value, 0) + (1 - gate) * carried
            for gate, value, carried in zip(gates, found, features, strict=False)
        ]
    vector = [
        sum(weight * value for weight, value in zip(row, features, strict=True)) + bias
        for row, bias in zip(values["projection"], values["bias"], strict=True)
    ]
    if correction is not None:
        for part, row in zip(values["corrections"][correction], values["correction_projection"], strict=True):
            vector = [value + part * weight for value, weight in zip(vector, row, strict=True)]
    return vector


def spelled(embedding):
    starts, lengths = places_of(embedding.spelling[0], embedding.num_characters - len(embedding.code_points))
    pairs = zip(starts.tolist(), lengths.tolist(), strict=True)
    return [embedding.spelling[0, start : start + length].tolist() for start, length in pairs]


def expected(embedding):
    corrected = bool(embedding.correction_dim)
    found = [loop(embedding, numbers, word if corrected else None) for word, numbers in enumerate(spelled(embedding))]
    if embedding.padding_idx is not None:
        found[embedding.padding_idx] = [0.0] * embedding.embedding_dim
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize(
    "settings",
    [{}, {"num_highway": 0}, {"num_highway": 2, "correction_dim": 0}, {"filters": [(8, 3)]}, {"padding_idx": None}],
)
def test_vectors_are_those_of_a_loop(settings):
    embedding = small(**settings).double()
    torch.testing.assert_close(embedding.matrix().detach(), expected(embedding))
    ids = torch.tensor([[12, 1, 4], [4, 0, 12]])
    torch.testing.assert_close(embedding(ids).detach(), expected(embedding)[ids])


@pytest.mark.parametrize("characters", [1, 7, 20])
def test_chunks_change_nothing(characters, monkeypatch):
    """Chunks of a word each, of some, and a sum over chunks in place of one graph: values and gradients."""
    embedding = small().double()
    weights = torch.randn(len(WORDS), DIM, dtype=torch.float64)

    def result():
        embedding.zero_grad()
        matrix = embedding.matrix()
        (matrix * weights).sum().backward()
        return matrix.detach(), [parameter.grad.clone() for parameter in embedding.parameters()]

    whole = result()
    calls = []
    original = char_cnn_vectors.char_cnn_vectors
    monkeypatch.setattr(char_cnn_vectors, "char_cnn_vectors", lambda *given: calls.append(1) or original(*given))
    monkeypatch.setattr(char_cnn_vectors, "_CHUNK_CHARACTERS", characters)
    in_chunks = result()
    assert len(calls) >= 2 * 3  # the gradient computes each again
    torch.testing.assert_close(in_chunks, whole)


def test_nothing_of_all_characters_is_kept(monkeypatch):
    """In chunks, what is kept for the gradient is no larger than the trained tensors."""
    embedding = small(correction_dim=0, padding_idx=None)
    monkeypatch.setattr(char_cnn_vectors, "_CHUNK_CHARACTERS", 7)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda t: t):
        embedding.matrix()
    assert kept
    assert sum(kept) <= sum(parameter.numel() for parameter in embedding.parameters())


@pytest.mark.parametrize("characters", [7, 2**15])
def test_gradients(characters, monkeypatch):
    monkeypatch.setattr(char_cnn_vectors, "_CHUNK_CHARACTERS", characters)
    embedding = small(words=WORDS[:5], dim=2, character_dim=2, filters=[(1, 1), (2, 1)], correction_dim=1).double()
    names = [name for name, _ in embedding.named_parameters()]

    def look_up(*values):
        return torch.func.functional_call(embedding, dict(zip(names, values, strict=True)), torch.tensor([3, 1, 0, 4]))

    assert torch.autograd.gradcheck(look_up, [value.detach().requires_grad_() for value in embedding.parameters()])


def test_padding_gets_no_gradient_from_the_output():
    embedding = small()
    TiedProjection(embedding)(torch.randn(2, DIM))[:, 1].sum().backward()
    assert all(not parameter.grad.any() for parameter in embedding.parameters())


def test_words_outside_of_the_vocabulary():
    """Known words have the vector of their spelling; others that of theirs, an unknown character being the rare one."""
    embedding = small(correction_dim=0).double()
    found = embedding.vectors_of(["low", "low@@", "▁wide"])
    torch.testing.assert_close(found, embedding.matrix()[[2, 3, 8]])
    letters = dict(zip("low", spelled(embedding)[2][1:4], strict=True))
    numbers = [2, letters["w"], 1, letters["o"], 3]
    torch.testing.assert_close(
        embedding.vectors_of(["wéo"]).detach()[0], torch.tensor(loop(embedding, numbers), dtype=torch.float64)
    )
    # As long as the vocabulary's longest may be: the middle does not count.
    assert torch.equal(*embedding.vectors_of(["x" * 16 + "abc" + "y" * 16, "x" * 16 + "y" * 16]).detach())
    assert embedding.vectors_of([]).shape == (0, DIM)
    assert embedding.half().vectors_of(["new"]).dtype == torch.float16


def test_corrections_are_the_vocabularys_alone():
    embedding = small()
    plain = embedding.vectors_of(["low"])
    own = embedding.corrections[2] @ embedding.correction_projection
    torch.testing.assert_close(embedding.matrix()[2], plain[0] + own)


def test_rounded_vectors_outside_of_the_vocabulary():
    embedding = small(correction_dim=0).eval()
    before = embedding.vectors_of(["low"])
    embedding.rounding = Rounding(4)
    found = embedding.vectors_of(["low"])
    torch.testing.assert_close(found, embedding.matrix()[[2]])
    assert not torch.allclose(found, before)


@pytest.mark.parametrize("count", [3, 3000])
@pytest.mark.parametrize("settings", [{}, {"num_highway": 2}, {"correction_dim": 7}, {"filters": [(2, 99)]}])
def test_the_start_has_the_scale_of_a_table(count, settings):
    torch.manual_seed(1)
    generator = random.Random(1)
    words = [None, None, *("".join(generator.choices("abcdefghijkl", k=number % 9 + 1)) for number in range(count))]
    given = {"character_dim": 16, "filters": [(1, 32), (3, 64)], **settings}
    matrix = CharCnnEmbedding(spelling_of(words, 32), 24, 1, **given).matrix()
    matrix = torch.cat((matrix[:1], matrix[2:]))
    assert matrix.std().item() == pytest.approx(24**-0.5, rel=0.1)
    assert matrix.mean(0).abs().max().item() < 0.1 * 24**-0.5 or count == 3


def test_a_spelling_comes_with_a_state_dict():
    embedding = small(max_length=9)
    spelling = awaited_spelling(13, embedding.num_characters, len(embedding.code_points), embedding.spelling.size(1))
    settings = {"character_dim": 3, "filters": [(1, 2), (3, 4), (6, 2)], "correction_dim": 2, "max_length": 9}
    other = CharCnnEmbedding(spelling, DIM, 1, **settings, awaits_spelling=True)
    for call in (other.matrix, lambda: other(torch.tensor([3])), lambda: other.vectors_of(["low"])):
        with pytest.raises(RuntimeError, match="the spelling comes with a state dict"):
            call()
    other.load_state_dict(embedding.state_dict())
    assert torch.equal(other.matrix(), embedding.matrix())
    assert torch.equal(other.vectors_of(["lab"]), embedding.vectors_of(["lab"]))
    # Its own spelling now: another one is refused.
    with pytest.raises(ValueError, match="spelling differs: the words of the checkpoint are not those"):
        other.load_state_dict({**embedding.state_dict(), "spelling": embedding.spelling.flip(1)})


def test_build_embedding_has_a_name_for_it():
    with pytest.raises(TypeError, match="spelled_length"):
        build_embedding("char_cnn", {"num_embeddings": 3, "num_characters": 9, "num_code_points": 1})


def test_words_of_another_order_are_another_dictionary():
    swapped = copy.copy(WORDS)
    swapped[2], swapped[11] = swapped[11], swapped[2]
    with pytest.raises(ValueError, match="spelling differs"):
        small(swapped).load_state_dict(small().state_dict())


def test_in_an_autocast_region_it_computes_in_all_digits():
    embedding = small()
    plain = embedding.matrix()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(embedding.matrix(), plain)


def test_half_precision_sums_in_float32(monkeypatch):
    """Chunks of a word each: in float16, ones that are added to 4096 one by one are lost."""
    monkeypatch.setattr(char_cnn_vectors, "_CHUNK_CHARACTERS", 1)
    embedding = small(["aa"] * 100, padding_idx=None, correction_dim=0, num_highway=0).half()
    matrix = embedding.matrix()
    gradient = torch.ones_like(matrix)
    gradient[0] = 4096
    matrix.backward(gradient)
    assert embedding.bias.grad.tolist() == [4196.0] * DIM  # 4195, as far as float16 has it


def test_a_character_that_was_never_seen_says_nothing_at_first():
    torch.manual_seed(1)
    embedding = CharCnnEmbedding(spelling_of(["ab", "cd"], 9), DIM, character_dim=3, filters=[(1, 4), (2, 4)])
    assert not embedding.characters[0].any()
    assert embedding.characters[1:].all()


def test_what_follows_from_the_spelling_does_not_stay_behind_when_it_moves():
    embedding = small()
    embedding.matrix()
    assert embedding.to("meta")._places is None
    assert embedding.rebuild == "update"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"character_dim": 0}, "dim must be at least 1, got 0"),
        ({"filters": []}, "filters must be widths and numbers of at least 1, like 1x32,3x64, got ''"),
        ({"filters": [(0, 3)]}, "filters must be .*, got '0x3'"),
        ({"filters": [(2, 3), (3, 0)]}, "filters must be .*, got '2x3,3x0'"),
        ({"num_highway": -1}, "highway_layers must be at least 0, got -1"),
        ({"correction_dim": -1}, "correction_dim must be at least 0, got -1"),
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
        ({"dim": 0}, "embedding_dim must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range(settings, words):
    with pytest.raises(SettingError, match=words):
        small(**settings)
