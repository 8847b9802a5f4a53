"""BLEU of a recipe's test set: the sentences in their order, those without a translation counted."""

from types import SimpleNamespace

from fairseq_alone.compression.measure import bleu_of_test_set
from fairseq_alone.inference.hypothesis import Hypothesis


def test_every_sentence_of_the_test_set_counts(tmp_path):
    (tmp_path / "clean").mkdir()
    sentences = ["ein Haus am See im Wald", "zwei rote Autos auf der Strasse", "drei Hunde laufen durch den Schnee"]
    for lang in ("en", "de"):
        (tmp_path / f"clean/test.{lang}").write_text("".join(f"{sentence}\n" for sentence in sentences))
    work = SimpleNamespace(path=tmp_path, source_lang="en", target_lang="de")

    def translator(copied):
        def decode(texts, settings, progress):
            assert texts == sentences
            return [[Hypothesis(text, 0.0, text)] if n < copied else [] for n, text in enumerate(texts)]

        return SimpleNamespace(decode=decode)

    assert round(bleu_of_test_set(translator(3), work), 6) == 100
    assert bleu_of_test_set(translator(2), work) < 70
