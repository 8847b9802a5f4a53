"""``fairseq_alone.load``: what a path holds, ready for use."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fairseq_alone.errors import UserError
from fairseq_alone.inference.ctranslate2_backend import CTranslate2Backend, CTranslate2Scorer, open_ctranslate2
from fairseq_alone.inference.ctranslate2_folder import is_ctranslate2_folder, read_settings
from fairseq_alone.inference.given_files import given_files
from fairseq_alone.inference.language_model import LanguageModel
from fairseq_alone.inference.loaded_model import LoadedModel
from fairseq_alone.inference.opening import open_model
from fairseq_alone.inference.text_pipeline import TextPipeline
from fairseq_alone.inference.trained_model import ModelFacts
from fairseq_alone.inference.translator import Translator

if TYPE_CHECKING:
    from fairseq_alone.inference.backend import Backend
    from fairseq_alone.inference.trained_model import TrainedModel

#: What decodes.
BACKENDS = ("fairseq", "ctranslate2")

_Loaded = TypeVar("_Loaded", bound=LoadedModel)


@dataclass(frozen=True)
class Origin:
    """A path and the options of :func:`fairseq_alone.load`, whose documentation says what they mean.

    Args:
        unnormalized_scores: fairseq's search takes scores for log-probabilities as they are.
    """

    path: str
    device: str = "cpu"
    backend: str = "fairseq"
    quantization: str | None = None
    data: str | None = None
    bpe_codes: str | None = None
    sentencepiece: str | None = None
    moses: bool = False
    split: bool = False
    unnormalized_scores: bool = False


def load_origin(origin: Origin) -> Translator | LanguageModel:
    """Load what :func:`fairseq_alone.load` was asked for.

    Raises:
        UserError: see there.
    """
    if origin.backend not in BACKENDS:
        raise UserError(f"--backend must be {' or '.join(BACKENDS)}, got {origin.backend!r}")
    is_folder = is_ctranslate2_folder(origin.path)
    if origin.unnormalized_scores and (origin.backend != "fairseq" or is_folder):
        raise UserError("--unnormalized-scores is for models that fairseq decodes with: CTranslate2 always normalises")
    if is_folder:
        return _of_ctranslate2(replace(origin, path=os.path.abspath(origin.path)))
    if origin.quantization is not None and origin.backend != "ctranslate2":
        raise UserError(
            "--quantization needs --backend ctranslate2: fairseq decodes with the numbers of the checkpoint"
        )
    # A pickle may be read in another folder.
    origin = replace(
        origin,
        path=os.path.abspath(origin.path),
        **{
            name: os.path.abspath(file)
            for name in ("data", "bpe_codes", "sentencepiece")
            if (file := getattr(origin, name)) is not None
        },
    )
    given = given_files(origin.data, origin.bpe_codes, origin.sentencepiece, origin.moses, origin.split)
    with _same_root_logger():
        trained = open_model(origin.path, given)
    if origin.unnormalized_scores:
        _leave_scores_unnormalized(trained)
    pipeline = TextPipeline(trained.text, trained.path)
    if trained.kind == "language_model":
        if origin.backend != "fairseq":
            raise UserError(
                f"{trained.path}: is a language model; --backend {origin.backend} is for translation. For such models, "
                "export it first"
            )
        from fairseq_alone.inference.fairseq_scorer import FairseqScorer

        return LanguageModel(trained.facts, pipeline, FairseqScorer(trained, origin.device), origin)
    return Translator(trained.facts, pipeline, _backend(trained, origin), origin)


def load_kind(kind: type[_Loaded], path: str | os.PathLike[str], **options: Any) -> _Loaded:
    """Load a model that must be of one kind. Raises UserError when it is another."""
    loaded = load_origin(Origin(os.fspath(path), **options))
    if not isinstance(loaded, kind):
        raise UserError(f"{path}: gives a {type(loaded).__name__}, not a {kind.__name__}; use that one's load")
    return loaded


def reduced(origin: Origin | None) -> tuple:
    """What a pickle of a Translator or a LanguageModel holds. Raises PicklingError when it was made in another way."""
    if origin is None:
        raise pickle.PicklingError("only what fairseq_alone.load gives can be pickled: a pickle holds the path")
    return load_origin, (origin,)


@contextlib.contextmanager
def _same_root_logger() -> Iterator[None]:
    """Some modules of fairseq set up the root logger when they are imported. It belongs to the program."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    # With a handler, basicConfig does nothing.
    guard = logging.NullHandler()
    root.addHandler(guard)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def _leave_scores_unnormalized(trained: TrainedModel) -> None:
    from fairseq_alone.models.unnormalized_scores import UnnormalizedScores

    if not isinstance(trained.model, UnnormalizedScores):
        raise UserError(f"{trained.path}: --unnormalized-scores is for architectures of this package, not fairseq's")
    trained.model.use_unnormalized_scores(trained.config["model"].get("criterion"))


def _backend(trained: TrainedModel, origin: Origin) -> Backend:
    if origin.backend == "fairseq":
        from fairseq_alone.inference.fairseq_backend import FairseqBackend

        return FairseqBackend(trained, origin.device)
    from fairseq_alone.export.targets import ExportOptions, target_of

    with tempfile.TemporaryDirectory(prefix="fairseq-alone-") as folder:
        target_of("ctranslate2").write(trained, Path(folder), ExportOptions(quantization=origin.quantization))
        return open_ctranslate2(folder, origin.device)[2]


def _of_ctranslate2(origin: Origin) -> Translator | LanguageModel:
    """What ``export --to ctranslate2`` wrote; neither torch nor fairseq is imported for it."""
    if origin.quantization is not None:
        raise UserError(f"--quantization {origin.quantization}: the numbers of {origin.path} have their type already")
    settings = read_settings(origin.path)
    facts = ModelFacts(origin.path, settings.kind, settings.text, settings.decoding)
    pipeline = TextPipeline(settings.text, origin.path)
    if settings.kind == "language_model":
        return LanguageModel(facts, pipeline, CTranslate2Scorer(origin.path, settings, origin.device), origin)
    return Translator(facts, pipeline, CTranslate2Backend(origin.path, settings, origin.device), origin)
