"""What a user says about a checkpoint that no recipe trained, as file names."""

from __future__ import annotations

from fairseq_alone.errors import UserError
from fairseq_alone.inference.opening import Given
from fairseq_alone.inference.trained_model import TextSettings


def given_files(
    data: str | None = None,
    bpe_codes: str | None = None,
    sentencepiece: str | None = None,
    moses: bool = False,
    split: bool = False,
) -> Given:
    """Read the files.

    Args:
        data: the folder of the binarised data.
        bpe_codes: the merges of subword-nmt.
        sentencepiece: the model of SentencePiece.
        moses: whether the text was split by Moses's tokeniser first.
        split: whether the text is in the model's units already, and shall stay so.

    Raises:
        UserError: two of it contradict each other, or a file cannot be read; names the flag.
    """
    if bpe_codes and sentencepiece:
        raise UserError("--bpe-codes contradicts --sentencepiece: give one of the two")
    if split and (bpe_codes or sentencepiece or moses):
        raise UserError("--split is for text that is split already: leave out --bpe-codes, --sentencepiece and --moses")
    if split:
        return Given(data, TextSettings())
    path = bpe_codes or sentencepiece
    if path is None and not moses:
        return Given(data)
    try:
        model = None if path is None else open(path, "rb").read()  # noqa: SIM115
    except OSError as error:
        flag = "--bpe-codes" if bpe_codes else "--sentencepiece"
        raise UserError(f"{flag} {path}: cannot be read ({error.strerror})") from error
    kind = "subword-nmt" if bpe_codes else "sentencepiece" if path else "none"
    text = TextSettings(tokenizer="moses" if moses else "none", subwords=kind, subword_model=model)
    return Given(data, text)
