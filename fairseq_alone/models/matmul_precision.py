"""``--matmul-precision``: how exact the products of float32 matrices are while a model is trained."""

from argparse import ArgumentParser

from fairseq_alone.modules.matmul_precision import PRECISIONS


def add_matmul_precision_args(parser: ArgumentParser) -> None:
    """Add ``--matmul-precision``."""
    # fmt: off
    parser.add_argument("--matmul-precision", choices=PRECISIONS, default="highest",
                        help="of products of float32 matrices in an update: highest is float32; high rounds the "
                             "factors to TF32 on a GPU that has it; medium rounds them to bfloat16, also on a CPU that "
                             "has it, else it is slower; sums, weights and validation stay in float32; "
                             "default: highest")
    # fmt: on
