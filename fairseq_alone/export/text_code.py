"""Python for a README that splits raw text into a model's units and joins its output, without this package."""

from __future__ import annotations

from dataclasses import dataclass

from fairseq_alone.inference.trained_model import TextSettings
from fairseq_alone.units import SPACE


@dataclass(frozen=True)
class TextCode:
    """Lines of Python.

    Args:
        code: imports, then the functions ``split(text)``, which gives a list of units, and ``join(units)``.
        libraries: what pip must install for it.
    """

    code: str
    libraries: tuple[str, ...]


def text_code(text: TextSettings, subword_file: str | None, joins: bool = True) -> TextCode:
    """The code that does what :class:`~fairseq_alone.inference.text_pipeline.TextPipeline` does.

    Args:
        text: how text is split. Where the subwords are known by their kind only, units go in and come out.
        subword_file: name of the file of its subwords, in the folder where the code runs.
        joins: whether there is output to join.
    """
    if text.subwords != "none" and text.subword_model is None:
        text = TextSettings()
    imports: list[str] = []
    setup: list[str] = []
    libraries: list[str] = []
    split, joined = "text", '" ".join(units)'
    if text.headline_text:
        lowered = ".lower()" if text.lowercase else ""
        split = f'" ".join(text.split()).replace("{SPACE}", "_"){lowered}'
    if text.tokenizer == "moses":
        libraries.append("sacremoses")
        imports.append(f"from sacremoses import {'MosesDetokenizer, ' if joins else ''}MosesTokenizer")
        setup.append(f'tokenizer = MosesTokenizer("{text.tokenizer_lang}")')
        split = f"tokenizer.tokenize({split}, return_str=True, escape=True)"
    if text.subwords == "subword-nmt":
        libraries.append("subword-nmt")
        imports.append("from subword_nmt.apply_bpe import BPE")
        setup.append(f'codes = open("{subword_file}", encoding="utf-8", newline="\\n")')
        setup.append(f"bpe = BPE(codes, glossaries={list(text.whole)!r})")
        split = f"bpe.process_line({split})"
        joined = f're.sub("@@( |$)", "", {joined})'
    if text.subwords == "sentencepiece":
        libraries.append("sentencepiece")
        imports.append("import sentencepiece")
        setup.append(f'pieces = sentencepiece.SentencePieceProcessor(model_file="{subword_file}")')
        split = f"pieces.encode({split}, out_type=str)"
    if text.target_units == "characters" or text.subwords == "sentencepiece":
        joined = f'"".join(units).replace("{SPACE}", " ").strip()'
    elif text.tokenizer == "moses" and text.target_lang is not None and joins:
        setup.append(f'detokenizer = MosesDetokenizer("{text.target_lang}")')
        joined = f'detokenizer.detokenize({joined}.split(" "))'
    if joins and "re.sub" in joined:
        imports.insert(0, "import re")
    functions = [f"def split(text):\n    return {split if text.subwords == 'sentencepiece' else f'{split}.split()'}"]
    if joins:
        functions.append(f"def join(units):\n    return {joined}")
    parts = ["\n".join(imports), "\n".join(setup), *functions]
    return TextCode("\n\n".join(part for part in parts if part), tuple(libraries))


def example(symbols: list[str]) -> str:
    """Up to three frequent words of a dictionary's symbols, as raw text."""
    words = [symbol.removeprefix(SPACE) for symbol in symbols[4:]]
    plain = [word for word in words if word.isalpha()]
    return " ".join((plain or [word.removesuffix("@@") for word in words])[:3])
