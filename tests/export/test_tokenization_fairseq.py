"""The tokenizer beside a Hugging Face model gives fairseq's ids and this package's text, without either of them."""

import io
import json
import random
import re

import pytest
import torch
from fairseq.data import Dictionary
from fairseq_commands import python, succeeded
from toy_trained import toy_trained

from fairseq_alone.export import huggingface_export
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.inference.text_pipeline import TextPipeline
from fairseq_alone.inference.trained_model import TextSettings
from fairseq_alone.recipes.subwords import learn_pieces

pytestmark = pytest.mark.slow

WORDS = (
    *("Hund", "Häuser", "it's", "don't", "e.g.", "z.B.", "U.S.", "3,5", "1.000,00", "„so“", '"so"', "(klein)", "[x]"),
    *("a&b", "&amp;", "<unk>", "</s>", "<s>", "<pad>", "@@", "wo@@", "▁", "_", "|", "#", "%", "café", "cafe\u0301"),
    *(
        "naïve",
        "ﬁn",
        "日本語",
        "你好。",
        "русский",
        "عربي",
        "🙂",
        "👩\u200d👩\u200d👧",
        "a\u00adb",
        "a\u200bb",
        "1/2",
        "…",
    ),
    *(
        "--",
        "—",
        "l'",
        "aujourd'hui",
        "A",
        "I",
        "http://a.b/c?d=e&f",
        "x-y",
        "x - y",
        "?!",
        "'",
        "''",
        "`",
        "\\",
        "@-@",
    ),
)
SPACES = (" ", " ", " ", "  ", "\u00a0", "\t", "\u3000", "\u2028", "\x85", "\x1c", "\x0b", "\ufeff", "\u202f")
BLANK = ("", " ", "\u00a0\u200b", "\u2029")


def odd_lines() -> list[str]:
    """Lines of odd words with odd spaces between, the same each time; some are blank."""
    generator = random.Random(1)
    lines = [
        "".join(generator.choice(WORDS) + generator.choice(SPACES) for _ in range(generator.randint(1, 9)))
        for _ in range(100)
    ]
    return [*lines, *WORDS, *(f" {word}" for word in SPACES), *BLANK]


def merges(lines) -> bytes:
    from subword_nmt.learn_bpe import learn_bpe

    codes = io.StringIO()
    learn_bpe([" ".join(line.split()) for line in lines], codes, 60, min_frequency=1)
    return codes.getvalue().encode()


def pieces(folder, lines) -> bytes:
    (folder / "text").write_text("".join(f"{' '.join(line.split())}\n" for line in lines))
    learn_pieces(folder, ["text"], 220, 1)
    return (folder / "sentencepiece.model").read_bytes()


LANGS = {"source_lang": "en", "target_lang": "fr"}
KINDS = {
    "moses and subword-nmt": {**LANGS, "tokenizer": "moses", "tokenizer_lang": "en", "subwords": "subword-nmt"},
    "subword-nmt": {**LANGS, "subwords": "subword-nmt"},
    "sentencepiece": {**LANGS, "subwords": "sentencepiece"},
    "none": LANGS,
    "headlines": {
        **{"tokenizer": "moses", "tokenizer_lang": "en", "subwords": "subword-nmt", "whole": ("<unk>",)},
        **{**LANGS, "target_units": "characters", "headline_text": True, "lowercase": True},
    },
}


def settings_of(kind, folder) -> TextSettings:
    lines = odd_lines()[::2]
    subwords = KINDS[kind].get("subwords")
    model = {"subword-nmt": lambda: merges(lines), "sentencepiece": lambda: pieces(folder, lines)}.get(subwords)
    return TextSettings(**KINDS[kind], subword_model=model() if model else None)


def dictionary_of(units) -> Dictionary:
    words = Dictionary()
    for line in units:
        words.encode_line(line, append_eos=False)
    return words


def export_with(folder, text, source, target):
    """A toy model with these dictionaries, exported."""
    one = source.symbols == target.symbols
    tying = ["--share-all-embeddings"] if one else []
    sizes = {"vocabulary": len(source), "target_vocabulary": None if one else len(target)}
    trained = toy_trained("transformer", *tying, **sizes)
    trained.text, trained.source_dictionary, trained.target_dictionary = text, source, target
    folder.mkdir()
    huggingface_export.write(trained, folder, ExportOptions())
    return folder


def tokenizer_of(folder):
    from fairseq_alone.export.tokenization_fairseq import FairseqTokenizer

    return FairseqTokenizer.from_pretrained(str(folder), local_files_only=True)


@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_text_are_those_of_fairseq_and_of_this_package(tmp_path, kind):
    text = settings_of(kind, tmp_path)
    pipeline = TextPipeline(text, "toy")
    lines = odd_lines()
    units = [pipeline.encode(line) for line in lines]
    # Every third line has units that no dictionary knows.
    source, target = dictionary_of(units[::3]), dictionary_of(units[1::3])
    tokenizer = tokenizer_of(export_with(tmp_path / "out", text, source, target))
    expected = [source.encode_line(line, add_if_not_exist=False).tolist() for line in units]
    assert any(source.unk() in ids for ids in expected)
    batch = tokenizer(lines, padding=True)
    for line, ids, given, mask in zip(lines, expected, batch["input_ids"], batch["attention_mask"], strict=True):
        assert tokenizer(line)["input_ids"] == ids, line
        assert given == ids + [1] * (len(given) - len(ids))
        assert mask == [1] * len(ids) + [0] * (len(given) - len(ids))

    # A search never writes padding.
    hypotheses = [ids[ids.ne(1)] for ids in (target.encode_line(line, add_if_not_exist=False) for line in units)]
    expected = [pipeline.decode(target.string(ids)) for ids in hypotheses]
    # As generate gives them: from </s> on, padded.
    generated = [[2, *ids.tolist(), 1, 1] for ids in hypotheses]
    assert tokenizer.batch_decode(generated, skip_special_tokens=True) == expected
    assert tokenizer.decode(torch.tensor([2, 4, 2, 1])).count("</s>") >= 1


def test_one_dictionary_is_written_once_and_a_target_has_its_own_rules(tmp_path):
    text = settings_of("moses and subword-nmt", tmp_path)
    lines = odd_lines()
    french = TextPipeline(TextSettings(**{**text.__dict__, "tokenizer_lang": "fr"}), "toy")
    units = [french.encode(line) for line in lines]
    both = dictionary_of(units)
    tokenizer = tokenizer_of(export_with(tmp_path / "out", text, both, both))
    assert list(json.loads((tmp_path / "out" / "symbols.json").read_text())) == ["source"]
    expected = [both.encode_line(line, add_if_not_exist=False).tolist() for line in units]
    source = tokenizer(lines)["input_ids"]
    assert tokenizer(text_target=lines)["input_ids"] == expected
    assert source != expected
    assert tokenizer(lines)["input_ids"] == source


def test_the_readme_of_the_folder_runs_without_fairseq_and_without_this_package(tmp_path):
    text = settings_of("moses and subword-nmt", tmp_path)
    words = dictionary_of([TextPipeline(text, "toy").encode(line) for line in odd_lines()])
    folder = export_with(tmp_path / "out-1.0", text, words, words)
    (code,) = re.findall("```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert len(code.splitlines()) == 8
    again = tmp_path / "again"
    before = f"""
import os, sys
os.environ.update(HF_HUB_OFFLINE="1", HF_MODULES_CACHE={str(tmp_path / "modules")!r})
sys.modules["fairseq"] = sys.modules["fairseq_alone"] = None
os.chdir({str(folder)!r})
"""
    after = f"""
tokenizer.save_pretrained({str(again)!r})
tokenizer = AutoTokenizer.from_pretrained({str(again)!r}, trust_remote_code=True)
import json
print(json.dumps([batch["input_ids"].tolist(), tokenizer(["A sentence.", "And one more."])["input_ids"]]))
"""
    printed = succeeded(python(before + code + after, fairseq_imported=False)).stdout.splitlines()
    padded, ids = json.loads(printed[-1])
    assert [row + [1] * (len(padded[0]) - len(row)) for row in ids] == padded
    pipeline = TextPipeline(text, "toy")
    assert ids[0] == words.encode_line(pipeline.encode("A sentence."), add_if_not_exist=False).tolist()
    from transformers import FSMTForConditionalGeneration

    model = FSMTForConditionalGeneration.from_pretrained(str(folder))
    rows = model.generate(torch.tensor(padded), attention_mask=torch.tensor(padded).ne(1).long())
    assert printed[0] == str([pipeline.decode(words.string(row[row.ne(1)])) for row in rows])
