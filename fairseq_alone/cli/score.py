"""``fairseq-alone score``: BLEU and chrF of fairseq-generate's output, on detokenised text, every sentence counted."""

import argparse
import json
from typing import Any

from tqdm import tqdm

from fairseq_alone.cli.generated import Generated
from fairseq_alone.cli.running_text import require_running_text
from fairseq_alone.errors import UserError
from fairseq_alone.files import require_apart
from fairseq_alone.text_files import count_empty, is_blank, read_lines, write_json, write_lines
from fairseq_alone.units import JOIN_SUBWORDS, moses_detokenizer


def add_arguments(parser: argparse.ArgumentParser) -> None:
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
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse what is only counted or noted else: an empty line in --reference (chrF does not count its "
        "hypothesis) or --source, and references that are another text than the T- lines of --generated",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> None:
    """Score, print, and write the files that were asked for."""
    if args.examples < 0:
        raise UserError(f"--examples must not be negative, got {args.examples}")
    outputs = [("--hypotheses", args.hypotheses), ("--output", args.output)]
    require_apart(outputs, [args.generated, args.reference, args.source])
    references = read_lines(args.reference)
    if not references:
        raise UserError(f"{args.reference} is empty; there is nothing to score")
    require_running_text(args.reference, references, not args.no_detokenize, args.strict)
    sources = read_lines(args.source) if args.source else None
    if sources is not None and len(sources) != len(references):
        raise UserError(f"{args.source} has {len(sources)} lines, but {args.reference} has {len(references)}")
    empty_references = count_empty(args.reference, references, args.strict)
    empty_sources = count_empty(args.source, sources, args.strict) if sources is not None else None
    raw = read_hypotheses(args.generated, args.reference, references, args.strict)
    join = JOIN_SUBWORDS[args.subwords]
    detokenize = (lambda text: text) if args.no_detokenize else moses_detokenizer(args.target_lang)
    hypotheses = [
        detokenize(join(text)) for text in tqdm(raw, "detokenising", disable=True if args.quiet else None, leave=False)
    ]

    scores = corpus_scores(hypotheses, references)
    scores["empty_hypotheses"] = sum(map(is_blank, hypotheses))
    scores["empty_references"] = empty_references
    scores["empty_sources"] = empty_sources
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
        write_lines(args.hypotheses, hypotheses)
    if args.output:
        write_json(args.output, scores)
    if args.json:
        print(json.dumps(scores, indent=1, ensure_ascii=False))
    else:
        for name in ("BLEU", "chrF"):
            print(f"{name} {scores[name]['score']:.2f}  {scores[name]['signature']}")
        print(
            f"{scores['sentences']} sentences, {scores['empty_hypotheses']} of them translated to nothing, "
            f"{empty_references} with an empty reference"
        )


def corpus_scores(hypotheses: list[str], references: list[str]) -> dict:
    """Cased BLEU and chrF of detokenised lines.

    Returns:
        ``{"BLEU": {"score", "signature"}, "chrF": {"score", "signature"}, "sentences"}``, scores from 0 to 100.
    """
    from sacrebleu.metrics import BLEU, CHRF

    scores: dict[str, Any] = {}
    for name, metric in (("BLEU", BLEU()), ("chrF", CHRF())):
        score = metric.corpus_score(hypotheses, [references]).score
        scores[name] = {"score": score, "signature": metric.get_signature().format()}
    scores["sentences"] = len(hypotheses)
    return scores


def read_hypotheses(path: str, reference: str, references: list[str], strict: bool = False) -> list[str]:
    """The ``H-`` lines of fairseq-generate's output in the order of the sentences, subwords still split.

    Args:
        path: the output.
        reference: the file of the references.
        references: its lines, one for each sentence there must be.
        strict: refuse references that are another text than the ``T-`` lines.

    Raises:
        UserError: no such file, a broken ``H-`` line, a number that appears twice or is missing, or another count.
    """
    generated = Generated(path)
    found: dict[int, tuple[int, str]] = {}  # number of the sentence -> line of the file, text
    for line_number, sentence, _, text in generated.hypotheses():
        if sentence in found:
            raise UserError(
                f"{path}, line {line_number}: H-{sentence} was there before (line {found[sentence][0]}); "
                "run fairseq-generate with --nbest 1, into a new file"
            )
        found[sentence] = (line_number, text)
    if not found:
        raise UserError(f"{path} has no line that starts with H-: it is not the output of fairseq-generate")
    generated.require_every_sentence(found.keys(), "T", reference, references, strict)
    return [found[sentence][1] for sentence in range(len(references))]


def spread(total: int, count: int) -> list[int]:
    """At most ``count`` different numbers below ``total``, evenly spread: the same for every run on the same data."""
    count = min(count, total)
    return [i * total // count for i in range(count)]
