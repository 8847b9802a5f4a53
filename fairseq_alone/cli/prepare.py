"""``fairseq-alone prepare``: from text to the data that ``train`` takes."""

import argparse

from fairseq_alone.recipes.presets import RECIPES

_EPILOG = """\
CORPUS, by recipe:
  translation      a folder with train.en train.de valid.en ... test.de; or two parallel files, text.en text.de, from
                   which validation and test data are held out; none for the presets demo and wmt16
  headlines        a folder with train, valid and test as train.tsv (SENTENCE<tab>HEADLINE), as train.source and
                   train.title, or as the NAMAS scripts write Gigaword
  language_model   a folder with train.txt, valid.txt and test.txt, words separated by spaces
  word_vectors     a file of text, or a folder with train.txt, words separated by spaces

Presets: translation small, demo, wmt16; headlines small, gigaword; small unless given. A file of your own presets
has the form of those in fairseq_alone/recipes/presets/, and is copied to WORK/presets.toml, where train finds it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``prepare``."""
    parser.usage = "fairseq-alone prepare WORK [CORPUS ...] [flags]"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("work", metavar="WORK", help="folder for the outcome; it holds one set of settings")
    parser.add_argument("corpus", nargs="*", metavar="CORPUS", help="the text; see below")
    parser.add_argument("--recipe", choices=RECIPES, default="translation", help="translation")
    parser.add_argument("--preset", metavar="NAME", help="sizes; see below; default: small")
    parser.add_argument("--presets", metavar="FILE.toml", help="your own presets")
    parser.add_argument("--merges", metavar="N", help="merges of subword-nmt, or pieces of SentencePiece")
    parser.add_argument("--workers", metavar="N", help="processes; default: all cores")
    translation = parser.add_argument_group("translation")
    translation.add_argument("--source-lang", metavar="LANG", help="suffix of the source side; default: en")
    translation.add_argument("--target-lang", metavar="LANG", help="suffix of the target side; default: de")
    translation.add_argument(
        "--subwords", metavar="KIND", help="subword-nmt (after Moses tokenisation) or sentencepiece; subword-nmt"
    )
    translation.add_argument(
        "--hold-out", metavar="N", help="of two parallel files: pairs for validation, and as many for the test; 1000"
    )
    translation.add_argument("--mirror", metavar="URL", help="wmt16: a folder with the three archives")
    headlines = parser.add_argument_group("headlines")
    headlines.add_argument(
        "--units", metavar="KIND", help="characters, or sentencepiece on both sides (lengths in pieces); characters"
    )
    headlines.add_argument("--keep-case", action="store_true", default=None, help="do not lower-case the text")
    headlines.add_argument("--duc", metavar="DIR", help="DUC 2004 task 1, in place of the test set of CORPUS")
    language_model = parser.add_argument_group("language_model, word_vectors")
    language_model.add_argument(
        "--min-count",
        metavar="N",
        help="words that occur less often in train.txt become <unk>; default: 1, none do, and 5 for word vectors",
    )
    parser.add_argument("--dry-run", action="store_true", help="check the names and print the settings; do nothing")


def run(args: argparse.Namespace) -> None:
    """Prepare."""
    from fairseq_alone.recipes.prepare import prepare
    from fairseq_alone.recipes.prepare_options import PrepareOptions

    prepare(args.recipe, args.work, PrepareOptions.of_arguments(args), args.dry_run)
