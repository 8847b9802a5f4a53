"""``--to torchscript``: a folder with one TorchScript file, which PyTorch runs without fairseq and without Python.

Of a translation model it is fairseq's beam search with the network in it, so that nothing has to be written around it;
of a language model the network, which gives log-probabilities.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fairseq_alone.errors import UserError
from fairseq_alone.export.folder import write_dictionaries, write_subwords
from fairseq_alone.export.scripted_modules import ScriptedLanguageModel, ScriptedTranslation
from fairseq_alone.export.stock import build_stock
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.export.torchscript_readme import readme
from fairseq_alone.inference.backend import Backend, Scorer, Search, UnitHypothesis
from fairseq_alone.inference.trained_model import TrainedModel
from fairseq_alone.text_files import write_text

OPTIONS: tuple[str, ...] = ()
IS_FILE = False

FILE = "model.torchscript"


def write(trained: TrainedModel, output: Path, options: ExportOptions) -> None:
    """Write ``model.torchscript``, the dictionaries, the subwords if there are any, and a README.

    Raises:
        UserError: the model has a length encoding, or is of a network that stock fairseq does not have or TorchScript
            cannot compile.
    """
    model: Any = build_stock(trained)[0]
    if trained.kind == "language_model":
        module: Any = ScriptedLanguageModel(model.decoder)
    else:
        module = _translation(trained, model)
    # PyTorch says that newer things will replace TorchScript, and that fairseq's annotations are old.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            scripted = torch.jit.script(module.eval())
        except (RuntimeError, NotImplementedError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"{trained.path}: TorchScript cannot compile this model ({reason})") from error
        with open(output / FILE, "wb") as file:
            torch.jit.save(scripted, file)
    write_dictionaries(trained, output)
    write_subwords(trained, output)
    write_text(str(output / "README.md"), readme(trained))


def _translation(trained: TrainedModel, model: Any) -> ScriptedTranslation:
    from fairseq.sequence_generator import SequenceGenerator

    decoding = trained.decoding
    generator = SequenceGenerator(
        [model],
        trained.target_dictionary,
        beam_size=decoding.beam,
        max_len_a=float(decoding.max_len_a),
        max_len_b=decoding.max_len_b,
        len_penalty=float(decoding.lenpen),
    )
    return ScriptedTranslation(generator, model, trained.target_dictionary.pad())


def open_backend(trained: TrainedModel, output: Path) -> Backend:
    """The file that was written, loaded by ``torch.jit.load``."""
    return _ScriptedBackend(trained, output)


def open_scorer(trained: TrainedModel, output: Path) -> Scorer:
    """The file that was written, loaded by ``torch.jit.load``."""
    return _ScriptedScorer(trained, output)


def _load(output: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.load(str(output / FILE))


class _ScriptedBackend:
    def __init__(self, trained: TrainedModel, output: Path):
        assert trained.source_dictionary is not None  # language models do not translate
        self._source, self._target = trained.source_dictionary, trained.target_dictionary
        self._search = _load(output)
        # It keeps the beam of a call in itself.
        self._lock = threading.Lock()
        model: Any = trained.model
        self.max_source_units = model.max_positions()[0] - 1

    def decode(
        self, sources: Sequence[str], search: Search, progress: Callable[[int], object] | None = None
    ) -> list[list[UnitHypothesis]]:
        """See :class:`~fairseq_alone.inference.backend.Backend`."""
        rows = [self._source.encode_line(source, add_if_not_exist=False, append_eos=True).long() for source in sources]
        order = sorted(range(len(rows)), key=lambda position: len(rows[position]))
        found: list[list[UnitHypothesis]] = [[] for _ in sources]
        for start in range(0, len(order), search.sentences):
            chosen = order[start : start + search.sentences]
            tokens = pad_sequence(
                [rows[position] for position in chosen], True, self._source.pad(), padding_side="left"
            )  # (B, T)
            # Compiling for these shapes takes longer than some sentences.
            with self._lock, torch.no_grad(), torch.jit.optimized_execution(False):
                batch = self._search(tokens, search.beam, search.lenpen, search.max_len_a, search.max_len_b)
            for position, best in zip(chosen, batch, strict=True):
                found[position] = [self._read(hypothesis) for hypothesis in best[: search.nbest]]
            if progress:
                progress(len(chosen))
        return found

    def _read(self, hypothesis: dict[str, Tensor]) -> UnitHypothesis:
        return UnitHypothesis(self._target.string(hypothesis["tokens"].int()), float(hypothesis["score"]))


class _ScriptedScorer:
    def __init__(self, trained: TrainedModel, output: Path):
        self._dictionary = trained.target_dictionary
        self._network = _load(output)
        self._start = [self._dictionary.eos()]
        if trained.config["task"].get("add_bos_token"):
            self._start.insert(0, self._dictionary.bos())
        model: Any = trained.model
        self.max_units = int(model.max_positions()) - len(self._start)

    def score(self, texts: Sequence[str]) -> list[list[float]]:
        """See :class:`~fairseq_alone.inference.backend.Scorer`."""
        return [self._score(text) for text in texts]

    def _score(self, text: str) -> list[float]:
        target = self._dictionary.encode_line(text, add_if_not_exist=False, append_eos=True).long()
        source = torch.cat((target.new_tensor(self._start), target[:-1]))[None]  # (1, T)
        with torch.no_grad(), torch.jit.optimized_execution(False):
            found = self._network(source)[0, len(self._start) - 1 :]  # (1, T, V) -> (units and end, V)
        scores: list[float] = found.gather(1, target[:, None])[:, 0].tolist()
        return scores
