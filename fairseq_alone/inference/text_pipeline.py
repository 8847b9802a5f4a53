"""Raw text to the units of a model and back, exactly as the recipes split it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from fairseq_alone.errors import UserError
from fairseq_alone.inference.trained_model import TextSettings
from fairseq_alone.text_files import clean_text
from fairseq_alone.units import JOIN_SUBWORDS, join_characters, moses_detokenizer, normalize_headline


class TextPipeline:
    """Splits and joins text. May be used by several threads at once.

    Args:
        settings: how.
        path: of the model, for sentences.

    Raises:
        UserError: the merges or the model of SentencePiece cannot be read, or a library is missing.
    """

    def __init__(self, settings: TextSettings, path: str):
        self.settings = settings
        self._split = _splitter(settings, path)
        self._join = _joiner(settings)

    def encode(self, text: str) -> str:
        """``"Two dogs."`` becomes units with a space between; blank text becomes ``""``."""
        text = clean_text(text)
        if self.settings.headline_text:
            text = normalize_headline(text, self.settings.lowercase)
        return self._split(text) if text else ""

    def decode(self, units: str) -> str:
        """Undo the splitting of a hypothesis: units with a space between become text."""
        return self._join(units)


def subwords_missing(settings: TextSettings, path: str) -> UserError:
    """The sentence for a model whose subwords are known by their kind only, as those of a compact file are."""
    flag = "--bpe-codes" if settings.subwords == "subword-nmt" else "--sentencepiece"
    return UserError(f"{path}: does not hold its subwords ({settings.subwords}); give {flag} FILE")


def _splitter(settings: TextSettings, path: str) -> Callable[[str], str]:
    if settings.subwords != "none" and settings.subword_model is None:
        raise subwords_missing(settings, path)
    steps: list[Callable[[str], str]] = []
    if settings.tokenizer == "moses":
        from sacremoses import MosesTokenizer

        steps.append(
            functools.partial(MosesTokenizer(lang=settings.tokenizer_lang).tokenize, return_str=True, escape=True)
        )
    if settings.subwords == "subword-nmt":
        steps.append(_byte_pairs(settings, path))
    elif settings.subwords == "sentencepiece":
        pieces = _pieces(settings, path)
        steps.append(lambda text: " ".join(pieces.encode(text, out_type=str)))

    def split(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    return split


def _byte_pairs(settings: TextSettings, path: str) -> Callable[[str], str]:
    import io

    from subword_nmt.apply_bpe import BPE

    try:
        merges = (settings.subword_model or b"").decode("utf-8")
        bpe = BPE(io.StringIO(merges, newline="\n"), glossaries=list(settings.whole))
    except (UnicodeDecodeError, SystemExit) as error:
        raise UserError(f"{path}: its subword codes are none of subword-nmt") from error
    return bpe.process_line


def _pieces(settings: TextSettings, path: str) -> Any:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(settings.subword_model or b"")
    except RuntimeError as error:
        raise UserError(f"{path}: its SentencePiece model cannot be read") from error
    return processor


def _joiner(settings: TextSettings) -> Callable[[str], str]:
    if settings.target_units == "characters":
        return join_characters
    join = JOIN_SUBWORDS[settings.subwords]
    if settings.tokenizer != "moses" or settings.target_lang is None:
        return join
    detokenize = moses_detokenizer(settings.target_lang)
    return lambda units: detokenize(join(units))
