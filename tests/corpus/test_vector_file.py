"""Files of word vectors: what is written is read, by us and by gensim; malformed ones are refused with their line."""

import numpy as np
import pytest
from gensim.models import KeyedVectors

from fairseq_alone.corpus.learning import WordVectors
from fairseq_alone.corpus.own_vector_file import write_word_vectors
from fairseq_alone.corpus.text import Text
from fairseq_alone.corpus.vector_file import write_vectors
from fairseq_alone.corpus.vector_reader import read_vectors
from fairseq_alone.errors import UserError

WORDS = ["the", "Käse", "a.b", "the1"]
VECTORS = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)


@pytest.mark.parametrize("ending", [".txt", ".vec", ".bin"])
def test_what_is_written_is_read_to_the_bit(ending, tmp_path):
    path = str(tmp_path / f"vectors{ending}")
    write_vectors(path, WORDS, VECTORS)
    found = read_vectors(path)
    assert found.words == WORDS
    assert found.vectors.dtype == np.float32
    assert np.array_equal(found.vectors, VECTORS)
    assert (len(found), found.dim) == (4, 3)
    theirs = KeyedVectors.load_word2vec_format(path, binary=ending == ".bin")
    assert theirs.index_to_key == WORDS
    assert np.array_equal(theirs.vectors, VECTORS)


@pytest.mark.parametrize("binary", [False, True])
def test_what_gensim_writes_is_read(binary, tmp_path):
    theirs = KeyedVectors(3)
    theirs.add_vectors(WORDS, VECTORS)
    path = str(tmp_path / ("vectors.bin" if binary else "vectors.txt"))
    theirs.save_word2vec_format(path, binary=binary)
    found = read_vectors(path)
    assert found.words == WORDS
    assert np.array_equal(found.vectors, VECTORS)


def test_glove_has_no_header_and_spaces_in_a_few_words(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("the 1 2\n. . 3 4\nthe 5 6\nThe 7 8\n")
    found = read_vectors(str(path))
    assert found.words == ["the", ". .", "The"]
    assert found.vectors.tolist() == [[1, 2], [3, 4], [7, 8]]
    assert read_vectors(str(path), lower_case=True).words == ["the", ". ."]
    assert found.first(2).words == ["the", ". ."]
    assert found.first(1, {"The", "the", "none"}).words == ["the", "The"]
    assert found.first(1, {"The"}).vectors.tolist() == [[1, 2], [7, 8]]
    assert found.first(0) is found


def test_safetensors_have_the_words_with_a_vector_of_both_sides(tmp_path):
    path = str(tmp_path / "vectors.safetensors")
    texts = (Text([], 3, ["<s>", "a", "b"], 1), Text([], 2, ["b", "c"], 0))
    sides = tuple(
        WordVectors(np.array(rows, np.float32), np.ones(len(rows)))
        for rows in ([[0, 0], [1, 2], [3, 4]], [[5, 6], [7, 8]])
    )
    write_word_vectors(path, texts, sides)
    found = read_vectors(path)
    assert found.words == ["a", "b", "c"]
    assert found.vectors.tolist() == [[1, 2], [3, 4], [7, 8]]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.txt", b"2 2\na 1 2\nb 1\n", "x.txt, line 3: expected a word and 2 values"),
        ("x.txt", b"a 1 2\nb 1 2 3\n", "x.txt, line 2: expected a word and 2 values"),
        ("x.txt", b"a 1 2\n\nb 1 2\n", "x.txt, line 2: expected a word and 2 values"),
        ("x.txt", b"a 1 2\nb 1 x\n", "x.txt, line 2: could not convert string to float: 'x'"),
        ("x.txt", b"a 1 2\nb 1 nan\n", "x.txt, line 2: a value is no finite number"),
        ("x.txt", b"a 1 2\n\xff 1 2\n", "x.txt, line 2: not UTF-8"),
        ("x.txt", b"3 2\n", "x.txt: holds no word vector"),
        ("x.txt", b"", "x.txt"),
        ("x.txt", None, "x.txt"),
        ("x.bin", b"nothing", "x.bin: is no binary file of word2vec"),
        ("x.bin", b"2 1\na \0\0\0\0\nb \0\0", "x.bin: ends within word 2 of 2"),
        ("x.bin", b"1 1\na \0\0\x80\x7f", "x.bin, word 1: a value is no finite number"),
        ("x.bin", None, "x.bin: cannot be read"),
        ("x.safetensors", b"damaged", "x.safetensors: is no file of word vectors"),
    ],
)
def test_a_malformed_file_is_refused(name, content, sentence, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        read_vectors(str(tmp_path / name))
    assert sentence in str(error.value)
