"""The console command ``fairseq-alone``: one module of this folder for each subcommand.

A subcommand module offers ``add_arguments(parser)`` and ``run(args)``. ``run`` raises
:class:`~fairseq_alone.errors.UserError` for bad input. A new subcommand is a module and a line in :data:`COMMANDS`.

The command must answer at once. So a module is imported only when its subcommand is named, and imports torch, numpy,
fairseq, matplotlib and the like inside of the functions that need them.
"""

import argparse
import difflib
import importlib
import os
import re
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from fairseq_alone import __version__, compat
from fairseq_alone.errors import UserError

#: The subcommands, and what each does in one line. They stand here so that ``--help`` imports none of them.
COMMANDS = {
    "average": "average the tensors of checkpoints of one model",
    "bundle": "write a folder with all that the use of a trained model needs: model, subwords, card, checksums",
    "candidates": "find, for each source word, the target words that decoding may be limited to (--candidates)",
    "characters": "split text into one token a character, '▁' for the space; --join puts the words together again",
    "check-corpus": "check parallel corpora (line counts, UTF-8, empty lines) and write clean copies of them",
    "compare": "compare trainings: parameters, checkpoint size, perplexity, BLEU, time, sample translations",
    "completion": "print a script that completes fairseq-alone's commands and flags in your shell",
    "compress": "give a trained model a smaller embedding, and fine-tune it with the model as its teacher",
    "corpus-vectors": "learn vectors of words from training data, which fairseq-train --embedding-init starts with",
    "demo": "train and compare a table and an ALONE embedding of half its size on made-up text; 4 minutes, no download",
    "download-wmt16": "download the English-German data of WMT16 (prepare --preset wmt16 does it itself)",
    "duc2004": "check the DUC 2004 task 1 test set (500 sentences, 4 references) and write it for the recipe",
    "evaluate": "score a run of a recipe: BLEU and chrF, ROUGE and lengths, or perplexity; skip what is scored",
    "export": "write a trained model for fairseq alone, CTranslate2, Hugging Face or TorchScript, or as a small file",
    "flags": "show the plugin's own flags of an architecture, criterion, optimizer or task, or all of them",
    "generate": "write headlines of the desired lengths for the test set, and re-rank them; skip what is there",
    "headlines": "normalise pairs of sentence and headline (white space, case, '▁'; pairs whose headline has '<unk>')",
    "language-models": "train, evaluate and compare five language models: tables, tying, augmented loss, ALONE",
    "log-z": "whether scores are log-probabilities: mean, spread and quantiles of log Z on a validation set",
    "neighbours": "show the words whose vectors are nearest to those of given words",
    "path": "print the folder for fairseq's --user-dir",
    "perplexity": "how likely a language model finds a text: its perplexity, of each line with --lines",
    "plot": "plot validation loss or perplexity of trainings against updates, epochs or hours",
    "prepare": "prepare the data of a recipe: check, clean, split, binarise; go on where it stopped",
    "reconstruct": "rebuild given word vectors with the network of ALONE: vectors, loss curve, word similarity",
    "report": "show parameters, sizes, settings and tied tensors of checkpoints",
    "rerank": "choose, of n-best headlines, the one that shares most stemmed content words with the source",
    "rouge": "ROUGE-1, -2 and -L recall by ROUGE-1.5.5.pl (-m -n 2 -b 75) with one or more references",
    "score": "BLEU and chrF (SacreBLEU, detokenised, cased) of fairseq-generate's output",
    "score-headlines": "ROUGE, length variance and share that fit, of headlines at several desired lengths",
    "similarity": "what word vectors are worth: scored pairs of words, analogies, distances beside other vectors",
    "soft-targets": "show the words that the augmented loss teaches in place of a word, and how sure it is",
    "train": "train one model of a recipe; go on where an interrupted training stopped",
    "translate": "translate text, or write headlines, with a trained model: sentences, a file, or a prompt",
    "vectors": "write the word vectors of a trained model as a file of word2vec, of pieces or of whole words",
}

#: Those that start commands of fairseq, and say at once where there is none.
_NEED_FAIRSEQ = (
    *(
        "bundle",
        "candidates",
        "compress",
        "corpus-vectors",
        "demo",
        "evaluate",
        "export",
        "generate",
        "language-models",
        "log-z",
        "perplexity",
        "prepare",
        "soft-targets",
        "train",
    ),
    "translate",
    "vectors",
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, and what may be meant; --help shows the usage."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Remember the words: one that is missing may be there with a misspelt flag."""
        self._words = list(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        flags = list(self._option_string_actions)
        misspelt = [word for word in self._words if word.startswith("--") and word.split("=")[0] not in flags]
        wrong = re.fullmatch(r"argument (\S+): invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if wrong:
            choices = [choice.strip().strip("'") for choice in wrong[3].split(",")]
            near = difflib.get_close_matches(wrong[2], choices, n=1)
            few = wrong[1] != "COMMAND"
            advice = f"did you mean {near[0]}?" if near else f"it is one of {', '.join(choices)}" if few else ""
            message = f"{wrong[1]}: there is no '{wrong[2]}'; {advice or f'see {self.prog} --help'}"
        elif misspelt:
            message = _no_such_flag(misspelt[0].split("=")[0], flags, self.prog)
        else:
            message = f"{message}; see {self.prog} --help"
        self.exit(2, f"{self.prog}: error: {message}\n")


def build_parser(wanted: Iterable[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """The parser of ``fairseq-alone``.

    Args:
        wanted: the subcommands whose arguments it shall know; their modules are imported. Others are listed only.
    """
    parser = _Parser(
        prog="fairseq-alone",
        description="Tools for Transformers whose embedding table is computed instead of stored.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(
        "--user-dir",
        metavar="DIR",
        help="before COMMAND: the folder of a plugin of your own that registers families, as for fairseq-train",
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, description in COMMANDS.items():
        # argparse takes a percent sign for the start of a name of its own.
        text = description.replace("%", "%%")
        # An abbreviated flag may be a misspelt one.
        subparser = subparsers.add_parser(name, help=text, description=text, allow_abbrev=False)
        if name in wanted:
            module = importlib.import_module(f"fairseq_alone.cli.{name.replace('-', '_')}")
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run, flags_of_command=list(subparser._option_string_actions))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand.

    Returns:
        The exit status: 0, 1 after bad input, 2 after a bad command line, or 130 after Ctrl-C. No command at all is a
        bad command line, so that a script that forgot it stops; the help is printed.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = build_parser(wanted=arguments)
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        print(f"fairseq-alone {args.command}: error: {_unknown_words(unknown, args)}", file=sys.stderr)
        return 2
    try:
        if args.command in _NEED_FAIRSEQ:
            compat.require_fairseq()
        if args.user_dir is not None:
            _import_plugin(args.user_dir)
        args.run(args)
        sys.stdout.flush()
    except (UserError, compat.UnsupportedVersionError) as error:
        print(f"fairseq-alone {args.command}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        # What is written is written beside its place, and gone by now.
        print(f"fairseq-alone {args.command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output, `head` for example, has seen enough. Nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _import_plugin(folder: str) -> None:
    compat.require_fairseq()
    from fairseq.utils import import_user_module

    if not os.path.isdir(folder):
        raise UserError(f"--user-dir {folder}: there is no such folder")
    import_user_module(argparse.Namespace(user_dir=folder))


def _unknown_words(words: list[str], args: argparse.Namespace) -> str:
    """The sentence for words that the command does not take."""
    flag = next((word.split("=")[0] for word in words if word.startswith("--")), None)
    if flag is None:
        return f"too many arguments: {' '.join(words)}; see fairseq-alone {args.command} --help"
    return _no_such_flag(flag, args.flags_of_command, f"fairseq-alone {args.command}")


def _no_such_flag(flag: str, known: list[str], command: str) -> str:
    near = difflib.get_close_matches(flag, known, n=1)
    advice = f"did you mean {near[0]}?" if near else f"see {command} --help"
    return f"{flag}: there is no such flag; {advice}"
