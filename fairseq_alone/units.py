"""Text that is split for a model, put together again; and the one form of text that headlines are split from."""

import re
from collections.abc import Callable

#: The symbol that SentencePiece uses for the space, so that one function joins either kind of units.
SPACE = "▁"


def split_characters(text: str) -> str:
    """``"a bc"`` becomes ``"a ▁ b c"``. Any run of white space is one space, as fairseq would take it.

    Raises:
        ValueError: the text has a ``▁``, which would come back as a space.
    """
    if SPACE in text:
        raise ValueError(f"the text has '{SPACE}' (U+2581), the symbol for the space; replace it first")
    return " ".join(" ".join(text.split()).replace(" ", SPACE))


def join_characters(tokens: str) -> str:
    """Undo `split_characters`; a run of spaces becomes one, and none is left at the ends."""
    return " ".join(tokens.replace(" ", "").replace(SPACE, " ").split())


def normalize_headline(text: str, lowercase: bool) -> str:
    """One space for any run of white space, ``_`` for ``▁`` (the symbol for the space in split text)."""
    text = " ".join(text.split()).replace(SPACE, "_")
    return text.lower() if lowercase else text


def join_bpe(text: str) -> str:
    """Undo subword-nmt: ``"Häu@@ ser"`` becomes ``"Häuser"``."""
    return re.sub(r"@@( |$)", "", text)


def join_sentencepiece(text: str) -> str:
    """Undo SentencePiece: ``"▁die ▁Häu ser"`` becomes ``"die Häuser"``."""
    return text.replace(" ", "").replace(SPACE, " ").strip()


#: A function for each kind of subwords.
JOIN_SUBWORDS = {"none": lambda text: text, "sentencepiece": join_sentencepiece, "subword-nmt": join_bpe}


def moses_detokenizer(language: str) -> Callable[[str], str]:
    """A function from tokens in one string to running text, by sacremoses's rules for ``language``."""
    from sacremoses import MosesDetokenizer

    detokenizer = MosesDetokenizer(lang=language)

    def detokenize(text: str) -> str:
        # split() would also cut at a no-break space inside of a token.
        return detokenizer.detokenize([token for token in text.split(" ") if token])

    return detokenize
