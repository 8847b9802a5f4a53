"""Tokens, and their splitting into subwords: sacremoses and subword-nmt, or SentencePiece."""

import contextlib
import functools
from pathlib import Path
from typing import TextIO

from fairseq_alone.errors import UserError


def tokenize(source: Path, target: Path, language: str, workers: int) -> None:
    """Write Moses tokens, line by line."""
    from sacremoses import MosesTokenizer
    from sacremoses.util import parallelize_preprocess

    tokens_of = functools.partial(MosesTokenizer(lang=language).tokenize, return_str=True, escape=True)
    with _lines(source) as lines, _written(target) as output:
        if workers == 1:
            tokens = map(tokens_of, lines)
        else:
            tokens = parallelize_preprocess(tokens_of, list(lines), workers, progress_bar=False)
        output.writelines(f"{line}\n" for line in tokens)


def learn_merges(texts: list[Path], codes: Path, merges: int, workers: int, log: Path) -> None:
    """Learn the merges of subword-nmt from several files together."""
    from subword_nmt.learn_bpe import learn_bpe

    joined = codes.with_name("train.joined.part")
    with open(joined, "wb") as output:
        for text in texts:
            output.write(text.read_bytes())
    # Its bar moves too little to be of use.
    with (
        open(log, "w", encoding="utf-8") as messages,
        contextlib.redirect_stderr(messages),
        _lines(joined) as lines,
        _written(codes) as output,
    ):
        learn_bpe(lines, output, merges, num_workers=workers)
    joined.unlink()


def apply_merges(codes: Path, source: Path, target: Path, workers: int, whole: tuple[str, ...] = ()) -> None:
    """Split into subwords with subword-nmt.

    Args:
        whole: words that are never split.
    """
    from subword_nmt.apply_bpe import BPE

    with _lines(codes) as lines:
        bpe = BPE(lines, glossaries=list(whole))
    with _lines(source) as lines, _written(target) as output:
        if workers == 1:
            output.writelines(map(bpe.process_line, lines))
        else:
            bpe.process_lines(str(source), output, num_workers=workers)


def learn_pieces(work: Path, texts: list[str], pieces: int, workers: int) -> None:
    """Learn pieces of SentencePiece into ``work/sentencepiece.model``.

    Args:
        texts: names of files in ``work``.

    Raises:
        UserError: the text is too small, or too large, for so many pieces.
    """
    import sentencepiece

    # The model holds the names of its files: relative ones, so that it is the same in every folder.
    with contextlib.chdir(work):
        try:
            sentencepiece.SentencePieceTrainer.train(
                input=texts,
                model_prefix="sentencepiece.part",
                model_type="bpe",
                vocab_size=pieces,
                character_coverage=1.0,
                num_threads=workers,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise UserError(
                f"SentencePiece cannot learn --merges {pieces} pieces from {' and '.join(texts)} in {work}: {error}"
            ) from error
    (work / "sentencepiece.part.vocab").rename(work / "sentencepiece.vocab")
    (work / "sentencepiece.part.model").rename(work / "sentencepiece.model")


def split_into_pieces(model: Path, source: Path, target: Path) -> None:
    """Split untokenised text with SentencePiece."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    with _lines(source) as lines, _written(target) as output:
        output.writelines(f"{' '.join(processor.encode(line, out_type=str))}\n" for line in lines)


def _lines(path: Path) -> TextIO:
    # Only a line feed ends a line.
    return open(path, encoding="utf-8", newline="\n")


def _written(path: Path) -> TextIO:
    return open(path, "w", encoding="utf-8", newline="\n")
