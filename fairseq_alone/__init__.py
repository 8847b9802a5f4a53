"""Transformers whose embedding table is computed instead of stored, as a fairseq plugin.

:func:`load` gives a trained model ready for use. Registered models are here by the names of their classes, for
``TransformerAloneModel.from_pretrained(...)``.

Importing this package, or its ``modules``, imports no fairseq and changes nothing in one that is loaded. Architectures,
criterions, tasks and optimizers are registered by :func:`fairseq_alone.plugin.register`, which runs when fairseq loads
the package for ``--user-dir``, when ``fairseq_alone.models``, ``criterions``, ``tasks`` or ``optim`` is imported, and
when one of the names above is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    from fairseq_alone.inference.hypothesis import Hypothesis as Hypothesis
    from fairseq_alone.inference.language_model import LanguageModel as LanguageModel
    from fairseq_alone.inference.language_model import TextScore as TextScore
    from fairseq_alone.inference.language_model import perplexity as perplexity
    from fairseq_alone.inference.translator import Translator as Translator

__version__ = "0.1.0"

# The modules of the package import one another by this name; a copy of the folder under another name would mix with an
# installed package, if there is one.
if __name__ != "fairseq_alone":
    raise ImportError(
        f"the folder of this package must be called fairseq_alone, but --user-dir or an import calls it {__name__}: "
        "rename it, or give --user-dir the folder that `fairseq-alone path` prints"
    )


class _PackagePath(list):
    # For --user-dir, fairseq imports the package and all files of tasks/ and models/, but only where nobody imported
    # the package before. Else it just looks whether the folder is among those of the package: here.
    def __contains__(self, folder: object) -> bool:
        found = super().__contains__(folder)
        if found:
            from fairseq_alone import plugin

            plugin.register()
        return found


__path__ = _PackagePath(__path__)


def load(
    path: "str | os.PathLike[str]",
    *,
    device: str = "cpu",
    backend: str = "fairseq",
    quantization: str | None = None,
    data: str | None = None,
    bpe_codes: str | None = None,
    sentencepiece: str | None = None,
    moses: bool = False,
    split: bool = False,
) -> "Translator | LanguageModel":
    """Load a trained model, ready for use.

    Args:
        path: a run of a recipe (``WORK/runs/RUN``), a bundle, a compact file, a folder for CTranslate2 or a checkpoint.
        device: where fairseq decodes, for example ``"cuda"``.
        backend: what decodes: ``"fairseq"`` or ``"ctranslate2"``, which is faster on a CPU; the model is converted when
            it is loaded.
        quantization: with ``"ctranslate2"``: the type of its numbers, for example ``"int8"``.
        data: for a checkpoint that no recipe trained: the folder of the binarised data, for its dictionaries.
        bpe_codes: likewise, the merges of subword-nmt.
        sentencepiece: likewise, the model of SentencePiece.
        moses: likewise, whether the text was split by Moses's tokeniser first.
        split: likewise, whether the text is in the model's units already, and stays so.

    Returns:
        a :class:`Translator` for translation and headlines, a :class:`LanguageModel` for a language model. Both may be
        used by several threads at once, and pickled: a pickle holds the path and the options. ``Translator.load`` and
        ``LanguageModel.load`` are the same for type checkers, and refuse the other kind.

    Raises:
        UserError: there is no such model, it is damaged, or something is missing; one sentence that names it.
    """
    import os

    from fairseq_alone.loading import Origin, load_origin

    return load_origin(
        Origin(os.fspath(path), device, backend, quantization, data, bpe_codes, sentencepiece, moses, split)
    )


_WHERE = {
    "Hypothesis": "fairseq_alone.inference.hypothesis",
    "LanguageModel": "fairseq_alone.inference.language_model",
    "TextScore": "fairseq_alone.inference.language_model",
    "Translator": "fairseq_alone.inference.translator",
    "perplexity": "fairseq_alone.inference.language_model",
}


def __getattr__(name: str) -> Any:
    # Imports ask for submodules in this way, too: only names that can be meant may import fairseq.
    if name in _WHERE:
        import importlib

        return getattr(importlib.import_module(_WHERE[name]), name)
    if name.endswith("Model") and name[0].isupper():
        from fairseq_alone import plugin

        plugin.register()
        from fairseq_alone.models import networks

        if name in networks.MODELS:
            return networks.MODELS[name]
    raise AttributeError(f"module 'fairseq_alone' has no attribute {name!r}")
