"""``fairseq-alone train``: train one model on what ``prepare`` left in a folder."""

import argparse
import textwrap

from fairseq_alone.cli.recipe_arguments import add_cpu, add_work_and_run, take_flags_after_dashes

_EPILOG = """\
Everything goes to WORK/runs/RUN: checkpoints/, train.log (JSON lines), settings, command, and done at the end. A
finished run is skipped; a RUN that was used with other settings is refused.

One command for every machine; --update-freq is worked out, so that an update sees as much text everywhere:
  a CPU, one GPU, all GPUs of this machine   fairseq-alone train WORK RUN
  two processes on a CPU                     fairseq-alone train WORK RUN --workers 2
  several machines                           torchrun --nnodes N --nproc_per_node G -m fairseq_alone train WORK RUN
  SLURM, one task for each GPU or machine    srun fairseq-alone train WORK RUN

Defaults are those of the preset: fairseq_alone/recipes/presets/*.toml, or WORK/presets.toml.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``train``."""
    parser.usage = "fairseq-alone train WORK RUN [flags] [-- FLAGS_OF_FAIRSEQ_TRAIN]"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = textwrap.dedent(_EPILOG)
    add_work_and_run(parser)
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help="of a language model: small, papers, medium or large; of word vectors: small or large; small",
    )
    parser.add_argument(
        "--model", metavar="NAME", help="of word vectors: skip_gram, cbow, nnlm or cw; default: skip_gram"
    )
    parser.add_argument(
        "--embedding",
        metavar="KIND",
        help="conventional (a table), factorized, alone_share, codes, tensor_product, differentiated, "
        "char_cnn, or "
        "ALONE as published: alone_binary, alone_real, for language models and word vectors alone; default: "
        "conventional, or alone_share where --share is given to a translation model",
    )
    parser.add_argument(
        "--share",
        metavar="S",
        help="size of alone_share, codes, tensor_product, differentiated or char_cnn, the table's = 1; default: 0.5, "
        "but without it char_cnn has the sizes of its architecture",
    )
    parser.add_argument(
        "--start",
        metavar="WHAT",
        help="what the embedding begins with: random values, vectors learned from the training data (corpus), or a "
        "FILE of word vectors; default: corpus, but random for char_cnn, differentiated, ALONE as published, "
        "language models and word vectors",
    )
    parser.add_argument("--inter-dim", metavar="N", help="D_inter of ALONE as published")
    parser.add_argument("--factorized-dim", metavar="D", help="of factorized; default: as large as ALONE")
    parser.add_argument(
        "--bits", metavar="B", help="train the embedding for a compact file of 8 or 4 bits; default: 32, as it is"
    )
    parser.add_argument("--tie", metavar="WHICH", help="embeddings that are one: all, decoder or none")
    parser.add_argument("--augmented-loss", metavar="W", default="0", help="weight of the augmented loss, 0 = none")
    parser.add_argument("--temperature", metavar="T", help="of the augmented loss of a language model; 10")
    parser.add_argument("--length", metavar="KIND", help="length encoding of headlines: lrpe, ldpe or none")
    parser.add_argument(
        "--absolute", action=argparse.BooleanOptionalAction, help="headlines: add the ordinary position encoding"
    )
    parser.add_argument(
        "--carry-state",
        action="store_true",
        default=None,
        help="language model: go on with the state of the sequence before (truncated back-propagation through time)",
    )
    parser.add_argument(
        "--output-layer",
        metavar="LAYER",
        help="language model: softmax, hierarchical, differentiated or char_cnn; default: softmax",
    )
    parser.add_argument(
        "--loss",
        metavar="NAME",
        help="language model: cross_entropy, sampled_softmax, noise_contrastive_estimation, target_sampling or "
        "self_normalization; default: cross_entropy",
    )
    parser.add_argument("--max-epoch", metavar="N", help="stop after so many epochs, 0 = no limit")
    parser.add_argument(
        "--max-update", metavar="N", help="stop after so many updates, 0 = no limit; of translation and headlines"
    )
    parser.add_argument("--seed", metavar="N", default="1", help="of the initial weights and the order of batches; 1")
    parser.add_argument(
        "--effective-tokens", metavar="N", help="tokens of one update, all workers together; not for a language model"
    )
    parser.add_argument(
        "--max-tokens", metavar="N", help="the most tokens that fit on one worker at a time; not for a language model"
    )
    parser.add_argument("--workers", metavar="N", help="processes on this machine; default: its GPUs, or 1")
    parser.add_argument(
        "--no-fp16",
        dest="fp16",
        action="store_false",
        default=None,
        help="float32 on a GPU, too; not for a language model",
    )
    add_cpu(parser)
    parser.add_argument("--dry-run", action="store_true", help="print the arithmetic and the command; do nothing")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--verbose", action="store_true", help="also show fairseq's own output")
    shown.add_argument("--quiet", action="store_true", help="do not show how far it is")
    take_flags_after_dashes(parser)


def run(args: argparse.Namespace) -> None:
    """Train."""
    from fairseq_alone.recipes.execute import NORMAL, QUIET, VERBOSE, execute
    from fairseq_alone.recipes.train import plan_training, printed
    from fairseq_alone.recipes.train_options import TrainOptions

    plan = plan_training(args.work, args.name, TrainOptions.of_arguments(args), args.dry_run)
    if plan is None:
        print(f"{args.work}/runs/{args.name} is trained already; nothing to do")
    elif args.dry_run:
        print(printed(plan))
    else:
        print("\n".join(plan.sentences), flush=True)
        execute([plan], VERBOSE if args.verbose else QUIET if args.quiet else NORMAL)
