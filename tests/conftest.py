"""Small data and a small trained model, shared by all tests."""

import random
from pathlib import Path

import pytest
import torch

pytest.register_assert_rewrite("fairseq_commands")

from fairseq_commands import (  # noqa: E402, F401 (many tests take them from here)
    ROOT,
    SMALL_MODEL,
    environment,
    fairseq,
    preprocess,
    run,
    succeeded,
    train,
    train_flags,
)
from toy_text import binarize  # noqa: E402

# The tests run side by side; more threads would only wait for each other.
torch.set_num_threads(1)


# Tests that take half a minute and more come first: at the end, one process would wait for the other.
_LONG = ("test_convergence_study.py", "test_new_family.py", "test_translation_recipe.py", "test_headlines_recipe.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long ones first; the others keep their order."""
    items.sort(key=lambda item: item.path.name not in _LONG)


def write_corpus(folder: Path, seed: int = 1) -> None:
    """Sentences of made-up words; the target is the source backwards."""
    generator = random.Random(seed)
    words = [f"w{number}" for number in range(40)]
    for split, size in (("train", 200), ("valid", 21), ("test", 33)):
        sentences = [[generator.choice(words) for _ in range(generator.randint(2, 8))] for _ in range(size)]
        (folder / f"{split}.en").write_text("".join(" ".join(s) + "\n" for s in sentences))
        (folder / f"{split}.de").write_text("".join(" ".join(reversed(s)) + "\n" for s in sentences))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """A folder with ``train``, ``valid`` and ``test`` in two languages."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


@pytest.fixture(scope="session")
def data(corpus, tmp_path_factory) -> Path:
    """Binarised data with one dictionary for both languages."""
    return preprocess(corpus, tmp_path_factory.mktemp("data") / "joined", "--joined-dictionary")


@pytest.fixture(scope="session")
def english(corpus, tmp_path_factory) -> Path:
    """One side of the corpus, binarised for language models."""
    return binarize(corpus, tmp_path_factory.mktemp("english") / "bin", "en")


@pytest.fixture(scope="session")
def trained(data, tmp_path_factory) -> Path:
    """The folder of a small three-way tied ALONE model after a few epochs."""
    folder = tmp_path_factory.mktemp("trained")
    train(data, folder, "--share-all-embeddings", "--max-update", 12, "--max-epoch", 3)
    return folder
