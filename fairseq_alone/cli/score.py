"""``fairseq-alone score``: BLEU and chrF of fairseq-generate's output, on detokenised text, every sentence counted."""

import json
import os
import re

from tqdm import tqdm

from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success, require_apart


def add_arguments(parser) -> None:
    """Add the flags of ``score``."""
    parser.add_argument("--generated", required=True, metavar="FILE", help="the output of fairseq-generate")
    parser.add_argument("--reference", required=True, metavar="FILE", help="untokenised references, one a line")
    parser.add_argument("--source", metavar="FILE", help="untokenised source sentences, for the examples in --output")
    parser.add_argument("--target-lang", required=True, metavar="LANG", help="language to detokenise, for example de")
    parser.add_argument(
        "--subwords",
        choices=sorted(JOIN_SUBWORDS),
        default="subword-nmt",
        help="the subwords to undo: subword-nmt (@@), sentencepiece or none; default: subword-nmt",
    )
    parser.add_argument("--no-detokenize", action="store_true", help="the text was never tokenised (SentencePiece)")
    parser.add_argument("--hypotheses", metavar="FILE", help="write the detokenised translations here, one a line")
    parser.add_argument("--output", metavar="FILE", help="write scores, signatures, counts and examples here, as JSON")
    parser.add_argument("--examples", type=int, default=10, metavar="N", help="examples in --output; default: 10")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args) -> None:
    """Score, print, and write the files that were asked for."""
    if args.examples < 0:
        raise UserError(f"--examples must not be negative, got {args.examples}")
    outputs = [("--hypotheses", args.hypotheses), ("--output", args.output)]
    require_apart(outputs, [args.generated, args.reference, args.source])
    references = read_lines(args.reference)
    if not references:
        raise UserError(f"{args.reference} is empty; there is nothing to score")
    sources = read_lines(args.source) if args.source else None
    if sources is not None and len(sources) != len(references):
        raise UserError(f"{args.source} has {len(sources)} lines, but {args.reference} has {len(references)}")
    raw = read_hypotheses(args.generated, expected=len(references))
    join = JOIN_SUBWORDS[args.subwords]
    detokenize = (lambda text: text) if args.no_detokenize else moses_detokenizer(args.target_lang)
    hypotheses = [
        detokenize(join(text)) for text in tqdm(raw, "detokenising", disable=True if args.quiet else None, leave=False)
    ]

    scores = corpus_scores(hypotheses, references)
    scores["empty_hypotheses"] = sum(not text for text in hypotheses)
    scores["examples"] = [
        {
            "sentence": i + 1,
            "source": None if sources is None else sources[i],
            "reference": references[i],
            "hypothesis": hypotheses[i],
        }
        for i in spread(len(references), args.examples)
    ]
    if args.hypotheses:
        with replaced_on_success(args.hypotheses) as path, open(path, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(text + "\n" for text in hypotheses)
    if args.output:
        with replaced_on_success(args.output) as path, open(path, "w", encoding="utf-8") as file:
            json.dump(scores, file, indent=1, ensure_ascii=False)
            file.write("\n")
    if args.json:
        print(json.dumps(scores, indent=1, ensure_ascii=False))
    else:
        for name in ("BLEU", "chrF"):
            print(f"{name} {scores[name]['score']:.2f}  {scores[name]['signature']}")
        print(f"{scores['sentences']} sentences, {scores['empty_hypotheses']} of them translated to nothing")


def corpus_scores(hypotheses: list[str], references: list[str]) -> dict:
    """Cased BLEU and chrF of detokenised lines.

    Returns:
        ``{"BLEU": {"score", "signature"}, "chrF": {"score", "signature"}, "sentences"}``, scores from 0 to 100.
    """
    from sacrebleu.metrics import BLEU, CHRF

    scores = {}
    for name, metric in (("BLEU", BLEU()), ("chrF", CHRF())):
        score = metric.corpus_score(hypotheses, [references]).score
        scores[name] = {"score": score, "signature": metric.get_signature().format()}
    scores["sentences"] = len(hypotheses)
    return scores


def read_hypotheses(path: str, expected: int) -> list[str]:
    """The ``H-`` lines of fairseq-generate's output in the order of the sentences, subwords still split.

    Args:
        path: the file.
        expected: sentences there must be, numbered from 0.

    Raises:
        UserError: no such file, a broken ``H-`` line, a number that appears twice or is missing, or another count.
    """
    found: dict[int, tuple[int, str]] = {}  # number of the sentence -> line of the file, text
    for line_number, sentence, _, text in hypothesis_lines(path):
        if sentence in found:
            raise UserError(
                f"{path}, line {line_number}: H-{sentence} was there before (line {found[sentence][0]}); "
                "run fairseq-generate with --nbest 1, into a new file"
            )
        found[sentence] = (line_number, text)
    if not found:
        raise UserError(f"{path} has no line that starts with H-: it is not the output of fairseq-generate")
    if len(found) != expected:
        raise UserError(
            f"{path} has {len(found)} hypotheses, but there are {expected} references; "
            "run fairseq-generate with --required-batch-size-multiple 1 on the whole test set"
        )
    missing = sorted(set(range(expected)) - set(found))
    if missing:
        raise UserError(f"{path}: H-{missing[0]} is missing; the numbers must run from 0 to {expected - 1}")
    return [found[sentence][1] for sentence in range(expected)]


def hypothesis_lines(path: str):
    """Yield the ``H-`` lines of fairseq-generate's output, in the order of the file.

    Yields:
        ``(line of the file from 1, number of the sentence, score, text)``: int, int, str, str.

    Raises:
        UserError: no such file, not UTF-8, or a broken ``H-`` line.
    """
    for line_number, line in enumerate(read_lines(path), start=1):
        if not line.startswith("H-"):
            continue
        fields = line.split("\t", 2)
        if len(fields) != 3 or not fields[0][2:].isdecimal():
            raise UserError(f"{path}, line {line_number}: not 'H-number<tab>score<tab>text'; was the output cut off?")
        yield line_number, int(fields[0][2:]), fields[1], fields[2]


def read_lines(path: str) -> list[str]:
    """The lines of a UTF-8 file. Only a line feed ends a line: text may hold other separators that Unicode knows.

    Raises:
        UserError: no such file, or bytes that are not UTF-8.
    """
    if not os.path.isfile(path):
        raise UserError(f"{path}: there is no such file")
    lines = []
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                lines.append(line.decode("utf-8").rstrip("\r\n"))
            except UnicodeDecodeError as error:
                raise UserError(f"{path}, line {number}: bytes that are not UTF-8 ({error.reason})") from None
    return lines


def join_bpe(text: str) -> str:
    """Undo subword-nmt: ``"Häu@@ ser"`` becomes ``"Häuser"``."""
    return re.sub(r"@@( |$)", "", text)


def join_sentencepiece(text: str) -> str:
    """Undo SentencePiece: ``"▁die ▁Häu ser"`` becomes ``"die Häuser"``."""
    return text.replace(" ", "").replace("▁", " ").strip()


JOIN_SUBWORDS = {"none": lambda text: text, "sentencepiece": join_sentencepiece, "subword-nmt": join_bpe}


def moses_detokenizer(language: str):
    """A function from tokens in one string to running text, by sacremoses's rules for ``language``."""
    from sacremoses import MosesDetokenizer

    detokenizer = MosesDetokenizer(lang=language)

    def detokenize(text: str) -> str:
        # split() would also cut at a no-break space inside of a token.
        return detokenizer.detokenize([token for token in text.split(" ") if token])

    return detokenize


def spread(total: int, count: int) -> list[int]:
    """At most ``count`` different numbers below ``total``, evenly spread: the same for every run on the same data."""
    count = min(count, total)
    return [i * total // count for i in range(count)]
