"""The tokenizer of a model that fairseq trained, for Hugging Face's transformers.

``fairseq-alone export --to huggingface`` copies this file beside the model, so it stands alone: it needs transformers
and what splits the text (sacremoses, subword-nmt, sentencepiece), nothing else. Text becomes the same ids as for
fairseq: cleaned, split into tokens by Moses's rules where the model was trained so, split into subwords, and looked up
in fairseq's dictionary. Decoding undoes it. ``AutoTokenizer.from_pretrained(FOLDER, trust_remote_code=True)`` finds it.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import shutil
import unicodedata
from typing import Any

from transformers import PreTrainedTokenizer

# Control and format characters, spaces and separators: a text of these alone is empty.
_INVISIBLE = frozenset(("Cc", "Cf", "Zs", "Zl", "Zp"))
# Control characters and separators of lines become spaces.
_SEPARATORS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029), " ")
# SentencePiece's symbol for the space; also that of text which is split into characters.
_SPACE = "▁"


class FairseqTokenizer(PreTrainedTokenizer):
    """Raw text to the ids of fairseq's dictionary, and back. Source and target may have dictionaries of their own.

    ``tokenizer(text)`` reads the source language, ``tokenizer(text_target=text)`` the target language; decoding and
    ``convert_ids_to_tokens`` take ids of the target.

    Args:
        symbols_file: JSON, ``{"source": [...], "target": [...]}``: the symbols of the dictionaries, in the order of
            their ids; without a target, one dictionary serves both.
        codes_file: the merges of subword-nmt, if the text is split by it.
        pieces_file: the model of SentencePiece, if the text is split by it.
        text: how text is split: ``tokenizer`` (``moses`` or ``none``), ``tokenizer_lang``, ``target_lang``,
            ``subwords`` (``subword-nmt``, ``sentencepiece`` or ``none``), ``whole`` (words that are never split),
            ``target_units`` (``subwords`` or ``characters``), ``headline_text``, ``lowercase``.
    """

    vocab_files_names = {
        "symbols_file": "symbols.json",
        "codes_file": "codes",
        "pieces_file": "sentencepiece.model",
    }
    model_input_names = ["input_ids", "attention_mask"]

    def __init__(
        self,
        symbols_file: str,
        codes_file: str | None = None,
        pieces_file: str | None = None,
        text: dict[str, Any] | None = None,
        **kwargs: Any,
    ):
        self.text = dict(text or {})
        self._files = {"symbols_file": symbols_file, "codes_file": codes_file, "pieces_file": pieces_file}
        with open(symbols_file, encoding="utf-8") as file:
            symbols = json.load(file)
        self._source: list[str] = symbols["source"]
        self._target: list[str] = symbols.get("target") or self._source
        self._source_ids = {symbol: number for number, symbol in enumerate(self._source)}
        self._target_ids = {symbol: number for number, symbol in enumerate(self._target)}
        self._reads_target = False
        self._moses = self.text.get("tokenizer") == "moses"
        self._tokenizers = {
            lang: _library("sacremoses").MosesTokenizer(lang=lang)
            for lang in (self.text.get("tokenizer_lang"), self.text.get("target_lang"))
            if self._moses
        }
        self._detokenizer = (
            _library("sacremoses").MosesDetokenizer(lang=self.text["target_lang"])
            if self._moses and self.text.get("target_lang")
            else None
        )
        self._subwords = _subwords(self.text, codes_file, pieces_file)
        for name, symbol in (("bos", "<s>"), ("pad", "<pad>"), ("eos", "</s>"), ("unk", "<unk>")):
            kwargs.setdefault(f"{name}_token", symbol)
        super().__init__(text=self.text, **kwargs)

    @property
    def vocab_size(self) -> int:
        """The size of the source's dictionary."""
        return len(self._source)

    def get_vocab(self) -> dict[str, int]:
        """The symbols of the source's dictionary and their ids."""
        return dict(self._source_ids)

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **kwargs: Any
    ) -> list[str]:
        """Units of the source, or of the target inside of ``text_target=``; blank text has none.

        The text is not searched for special symbols first: fairseq takes ``</s>`` in a sentence for text.
        """
        text = "" if all(unicodedata.category(letter) in _INVISIBLE for letter in text) else text
        text = text.translate(_SEPARATORS).strip()
        if self.text.get("headline_text"):
            text = " ".join(text.split()).replace(_SPACE, "_")
        if self.text.get("lowercase"):
            text = text.lower()
        if not text:
            return []
        if self._reads_target and self.text.get("target_units") == "characters":
            return list(" ".join(text.split()).replace(" ", _SPACE))
        if self._moses:
            lang = self.text.get("target_lang" if self._reads_target else "tokenizer_lang")
            text = self._tokenizers[lang].tokenize(text, return_str=True, escape=True)
        return self._subwords(text).split()

    def _convert_token_to_id(self, token: str) -> int:
        ids = self._target_ids if self._reads_target else self._source_ids
        return ids.get(token, ids["<unk>"])

    def _convert_id_to_token(self, index: int) -> str:
        return self._target[index] if index < len(self._target) else "<unk>"

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Units of the target become text."""
        units = " ".join(tokens)
        if self.text.get("target_units") == "characters":
            return " ".join(units.replace(" ", "").replace(_SPACE, " ").split())
        if self.text.get("subwords") == "sentencepiece":
            units = units.replace(" ", "").replace(_SPACE, " ").strip()
        elif self.text.get("subwords") == "subword-nmt":
            units = re.sub("@@( |$)", "", units)
        if self._detokenizer is None:
            return units
        # split() would also cut at a no-break space inside of a token.
        return self._detokenizer.detokenize([token for token in units.split(" ") if token])

    def _decode(
        self,
        token_ids: int | list[int],
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> str:
        ids = [token_ids] if isinstance(token_ids, int) else [int(index) for index in token_ids]
        # An unknown word is none of the symbols to skip: fairseq writes it as <unk>.
        skipped = {self.bos_token_id, self.pad_token_id, self.eos_token_id} if skip_special_tokens else set()
        return self.convert_tokens_to_string(
            [self._convert_id_to_token(index) for index in ids if index not in skipped]
        )

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """A sentence ends with ``</s>``, and nothing stands before it."""
        return [*token_ids_0, self.eos_token_id, *([*token_ids_1, self.eos_token_id] if token_ids_1 else [])]

    def _switch_to_input_mode(self) -> None:
        self._reads_target = False

    def _switch_to_target_mode(self) -> None:
        self._reads_target = True

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Copy the dictionaries and the file of the subwords; returns the paths."""
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        copies = []
        for name, path in self._files.items():
            if path is not None:
                copies.append(os.path.join(save_directory, prefix + self.vocab_files_names[name]))
                if os.path.abspath(path) != os.path.abspath(copies[-1]):
                    shutil.copyfile(path, copies[-1])
        return tuple(copies)


def _library(name: str) -> Any:
    # Imported here, since no model needs all of them.
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ImportError(f"this tokenizer needs {name}: pip install {name.replace('_', '-')}") from error


def _subwords(text: dict[str, Any], codes_file: str | None, pieces_file: str | None) -> Any:
    """A function from text to units with a space between."""
    kind = text.get("subwords", "none")
    if kind == "subword-nmt":
        _library("subword_nmt")
        with open(str(codes_file), encoding="utf-8", newline="\n") as file:
            codes = io.StringIO(file.read(), newline="\n")
        return _library("subword_nmt.apply_bpe").BPE(codes, glossaries=list(text.get("whole") or ())).process_line
    if kind == "sentencepiece":
        processor = _library("sentencepiece").SentencePieceProcessor(model_file=str(pieces_file))
        return lambda line: " ".join(processor.encode(line, out_type=str))
    return lambda line: line
