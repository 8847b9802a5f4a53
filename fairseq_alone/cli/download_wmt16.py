"""``fairseq-alone download-wmt16``: the English-German data of WMT16."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``download-wmt16``."""
    parser.add_argument("downloads", type=Path, metavar="DOWNLOAD_DIR", help="folder for the archives, 1.6 GB")
    parser.add_argument("folder", type=Path, metavar="OUT_DIR", help="folder for train, valid and test, 1.5 GB")
    parser.add_argument("--mirror", metavar="URL", help="a folder with the three archives, for example file:///data")


def run(args: argparse.Namespace) -> None:
    """Download."""
    from fairseq_alone.recipes.download_wmt16 import download_wmt16

    download_wmt16(args.downloads, args.folder, args.mirror)
