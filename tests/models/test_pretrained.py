"""``from_pretrained`` says when text would not be split as the model needs it."""

import logging

import pytest
from fairseq.data import Dictionary

from fairseq_alone import TransformerAloneModel
from fairseq_alone.errors import UserError
from fairseq_alone.models.pretrained import subwords_of


def dictionary(*words):
    found = Dictionary()
    for word in words:
        found.add_symbol(word)
    return found


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["Hun@@", "de", "katze"], "subword_nmt"),
        (["▁Hund", "e", "n"], "sentencepiece"),
        (["Hunde", "Katze", "a@b"], None),
        (["▁", "a", "b"], None),  # characters
        (["x@@", *(f"w{number}" for number in range(20))], None),  # by chance
        ([], None),
    ],
)
def test_subwords_are_known_by_their_marks(words, kind):
    assert subwords_of(dictionary(*words)) == kind


@pytest.mark.parametrize(("bpe", "setting"), [("subword_nmt", "bpe_codes"), ("sentencepiece", "sentencepiece_model")])
def test_codes_that_are_missing_get_a_sentence(tmp_path, bpe, setting):
    with pytest.raises(UserError, match=f"bpe='{bpe}' needs {setting}=FILE"):
        TransformerAloneModel.from_pretrained(str(tmp_path), "model.pt", str(tmp_path), bpe=bpe)


@pytest.mark.slow
def test_a_model_of_subwords_given_whole_words_warns(data, trained, tmp_path, caplog):
    """The dictionary of the data with words that look like subwords: as many, so the model fits."""
    for side in ("en", "de"):
        lines = (data / f"dict.{side}.txt").read_text().splitlines()
        (tmp_path / f"dict.{side}.txt").write_text("".join(line.replace(" ", "@@ ", 1) + "\n" for line in lines))
    (tmp_path / "codes").write_text("#version: 0.2\nw 1</w>\n")
    names = (str(trained), "checkpoint_last.pt")
    languages = {"source_lang": "en", "target_lang": "de"}

    def warnings(folder, **settings):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            TransformerAloneModel.from_pretrained(*names, str(folder), **languages, **settings)
        return [record.getMessage() for record in caplog.records if record.name.startswith("fairseq_alone")]

    (warning,) = warnings(tmp_path)
    assert "was trained on subwords, but will be given whole words: give bpe='subword_nmt' and bpe_codes=" in warning
    assert warnings(tmp_path, bpe="subword_nmt", bpe_codes=str(tmp_path / "codes")) == []
    assert warnings(data) == []
