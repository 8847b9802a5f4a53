"""``fairseq-alone compress``: from a trained model to a smaller one, step by step; what is there is not made again.

===================  ====================================================================
teacher.pt           the trained model, its embeddings as tables
student.pt           the smaller model before its training
checkpoints/ ...     the training, as of any run (``recipes/run_folder.py``)
model.pt             the smaller model after it
model.safetensors    the same as a compact file, with ``--bits``
figures.json         what was measured
===================  ====================================================================
"""

import copy
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fairseq import tasks

from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.compression.finetuning import Finetuning, plan_finetuning
from fairseq_alone.compression.measure import bleu_of_test_set, sizes, validation_perplexity
from fairseq_alone.compression.settings import LR_FACTOR, teacher_training
from fairseq_alone.compression.student import Student, make_student, share_settings, write_checkpoint, write_student
from fairseq_alone.errors import UserError
from fairseq_alone.export import compact_export
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.files import replaced_on_success, require_folder, require_writable
from fairseq_alone.inference.checkpoint_source import data_of, has_dictionaries, read_checkpoint, read_dictionaries
from fairseq_alone.inference.compact_source import read_compact
from fairseq_alone.inference.fairseq_backend import FairseqBackend
from fairseq_alone.inference.opening import Given, open_model
from fairseq_alone.inference.run_source import is_run, work_of
from fairseq_alone.inference.text_pipeline import TextPipeline
from fairseq_alone.inference.trained_model import TrainedModel
from fairseq_alone.inference.translator import Translator
from fairseq_alone.models.conventional_family import ConventionalFamily
from fairseq_alone.models.families import FAMILIES
from fairseq_alone.modules.compact_file import is_safetensors
from fairseq_alone.recipes.execute import NORMAL, execute
from fairseq_alone.recipes.language_model_training import CARRIED
from fairseq_alone.recipes.run_folder import RunFolder
from fairseq_alone.recipes.steps import say
from fairseq_alone.recipes.work_folder import WorkFolder, open_work
from fairseq_alone.recipes.workers import count_gpus

#: How a model is stored in so many bits: all of it, and its embedding. What is not the embedding loses with 4.
BITS = {32: ("fp32", "fp32"), 8: ("int8", "int8"), 4: ("int8", "int4")}

#: What is measured, in the order in which it is made, and what people are told that it is; with the number of bits.
MODELS = {
    "teacher": "the trained model",
    "start": "with the new embedding",
    "tuned": "after fine-tuning",
    "stored": "the same, in {} bits",
}

_FILES = (".pt", ".safetensors")
_MEASURING_TOKENS = 4096


@dataclass(frozen=True)
class Compression:
    """What a user chooses.

    Args:
        model: a run, a bundle, a compact file or a checkpoint.
        data: the folder of the binarised data.
        family: of the new embedding, by name.
        share: of the values of the teacher's table.
        output: a folder, or a file ``.pt`` or ``.safetensors``, which gets a folder beside it.
        finetuning: how the student is trained, once the largest learning rate is known.
        lr: that rate; None is a share of the teacher's last.
        bits: of the compact file, whose numbers the embedding is trained with; None is no such file.
        score: whether the test set is translated, too.
    """

    model: str
    data: str
    family: str
    share: float
    output: str
    finetuning: Callable[[float], Finetuning]
    lr: float | None = None
    bits: int | None = None
    score: bool = False


def compress(chosen: Compression, show: int = NORMAL) -> dict[str, Any]:
    """Compress, or go on where an interruption was.

    Returns:
        ``{"teacher_file", "output", "files", "explained": {place: share of the variance}, "models": {"teacher": {...},
        "start", "tuned", "stored"}}``; a model has ``"valid_ppl"``, ``"embedding_bytes"``, ``"model_bytes"`` and, where
        it was scored, ``"bleu"``. ``"teacher_file"`` is what was read: of a run, the checkpoint that is scored.

    Raises:
        UserError: bad input, or the training failed.
    """
    target = Path(chosen.output)
    out = target.with_name(f"{target.stem}.compress") if _is_file(target) else target
    if _is_file(target):
        (require_writable if target.exists() else require_folder)("--output", chosen.output)
    require_folder("--output", str(out))
    folder = RunFolder.at(out.resolve())
    teacher = open_teacher(chosen.model, chosen.data)
    work = _scored_work(chosen, teacher) if chosen.score else None
    checkpoint = teacher.path if teacher.path.endswith(".pt") else None
    training = teacher_training(checkpoint, teacher.reads_on)
    if training.carries_state:
        # In use it is forgotten, since texts are single.
        task_settings = {**teacher.config["task"], "_name": "truncated_bptt_lm"}
        teacher = replace(teacher, config={**teacher.config, "task": task_settings})
    finetuning = chosen.finetuning(LR_FACTOR * training.lr if chosen.lr is None else chosen.lr)
    settings = [f"teacher={_digest(teacher)}", f"family={chosen.family}", f"share={chosen.share}"]
    settings += [f"bits={chosen.bits}", *finetuning.settings(), *([CARRIED] if training.carries_state else [])]
    folder.refuse_other_settings(settings)
    student = _student(chosen, teacher, folder)
    task = tasks.setup_task(student.cfg.task)
    figures = _Figures(folder.path / "figures.json", task, work, finetuning.cpu, chosen.bits)
    _write_files(folder, teacher, student, settings, figures)
    if not folder.is_done:
        plan = plan_finetuning(folder, student, figures.task, chosen.data, training, finetuning, settings)
        say("\n".join(plan.sentences))
        execute([plan], show)
    tuned = _tuned(folder, teacher, chosen.data)
    figures.measure("tuned", tuned)
    files = {".pt": folder.path / "model.pt"}
    if chosen.bits is not None:
        files[".safetensors"] = folder.path / "model.safetensors"
        _store(tuned, files[".safetensors"], chosen.bits, teacher, figures)
    if _is_file(target):
        with replaced_on_success(str(target)) as part:
            shutil.copyfile(files[target.suffix], part)
    return {
        "teacher_file": teacher.path,
        "output": str(target),
        "files": [str(path) for path in files.values()],
        "explained": figures.known["explained"],
        "models": {name: figures.known[name] for name in MODELS if name in figures.known},
    }


def open_teacher(model: str, data: str) -> TrainedModel:
    """Read the trained model, and see that the data has its words.

    Raises:
        UserError: it cannot be read, or its dictionaries are others.
    """
    if not os.path.isdir(data):
        raise UserError(f"{data}: there is no such folder; DATA is the binarised data, as of fairseq-preprocess")
    # Runs, bundles and compact files know their dictionaries; of a checkpoint they may be gone.
    knows = not os.path.isfile(model) or is_safetensors(model) or work_of(model) is not None
    knows = knows or has_dictionaries(data_of(model, load_checkpoint(model, mmap=True)["cfg"]["task"]))
    teacher = open_model(model, Given() if knows else Given(data))
    dictionaries = read_dictionaries(model, teacher.config["task"], data, teacher.kind)
    for own, there in zip((teacher.source_dictionary, teacher.target_dictionary), dictionaries, strict=True):
        if own is not None and there is not None and own.symbols != there.symbols:
            raise UserError(f"{data}: its dictionaries are not those of {model}; compress needs the same vocabulary")
    return teacher


class _Figures:
    """What was measured of each model, kept in a file, so that it is measured once."""

    def __init__(self, path: Path, task: Any, work: WorkFolder | None, cpu: bool, bits: int | None):
        self.path, self.task, self.work = path, task, work
        self.bits = bits
        self.cuda = not cpu and count_gpus() > 0
        self.known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def measure(self, name: str, trained: TrainedModel, quantizations: tuple[str, str] = ("fp32", "fp32")) -> None:
        """Measure what is not known yet."""
        found = self.known.setdefault(name, {})
        told = MODELS[name].format(self.bits)
        if "valid_ppl" not in found:
            say(f"perplexity of the validation set: {told}")
            found["valid_ppl"] = validation_perplexity(trained, self.task, _MEASURING_TOKENS, self.cuda)
            found.update(sizes(trained, *quantizations))
        if self.work is not None and "bleu" not in found:
            say(f"translating the test set: {told}")
            # Decoding changes the model for good.
            again = replace(trained, model=copy.deepcopy(trained.model))
            backend = FairseqBackend(again, "cuda" if self.cuda else "cpu")
            translator = Translator(again.facts, TextPipeline(again.text, again.path), backend)
            found["bleu"] = bleu_of_test_set(translator, self.work)
        self.write()

    def write(self) -> None:
        """Keep what is known."""
        with replaced_on_success(str(self.path)) as part:
            Path(part).write_text(json.dumps(self.known, indent=1), encoding="utf-8")


def _student(chosen: Compression, teacher: TrainedModel, folder: RunFolder) -> Student:
    """The student before its training, fitted now or read."""
    family = FAMILIES[chosen.family]
    size = share_settings(teacher, family, chosen.share)
    if chosen.bits in (8, 4):
        # The numbers of the file in the training already, where the models have this flag.
        size = {**size, "embedding_bits": chosen.bits}
    path = folder.path / "student.pt"
    if not path.is_file():
        say(f"fitting the embedding of {chosen.family} to that of {teacher.path}")
    return make_student(teacher, family, size, chosen.data, str(path) if path.is_file() else None)


def _write_files(
    folder: RunFolder, teacher: TrainedModel, student: Student, settings: list[str], figures: _Figures
) -> None:
    """What the training needs; the student last, so that all else is there where it is."""
    folder.path.mkdir(parents=True, exist_ok=True)
    if not (folder.path / "student.pt").is_file():
        folder.write_settings(settings)
        figures.known = {"explained": student.explained}
        # Computing a table at every step would be work for nothing.
        table = make_student(teacher, ConventionalFamily, {}, student.cfg.task.data)
        write_student(table, str(folder.path / "teacher.pt"))
        figures.write()
        write_student(student, str(folder.path / "student.pt"))
    figures.measure("teacher", teacher)
    if not folder.is_done:
        figures.measure("start", student.trained)


def _tuned(folder: RunFolder, teacher: TrainedModel, data: str) -> TrainedModel:
    """The student after its training, in a file without the optimizer's values."""
    path = str(folder.path / "model.pt")
    if not os.path.isfile(path):
        state = load_checkpoint(str(folder.last_checkpoint))
        updates = state["optimizer_history"][-1]["num_updates"]
        write_checkpoint(path, state["cfg"], state["model"], updates)
    return read_checkpoint(path, data, teacher.text, teacher.decoding)


def _store(tuned: TrainedModel, path: Path, bits: int, teacher: TrainedModel, figures: _Figures) -> None:
    quantization, embedding = BITS[bits]
    compact_export.write(tuned, path, ExportOptions(quantization, embedding))
    stored = replace(read_compact(str(path)), text=teacher.text)
    figures.measure("stored", stored, (quantization, embedding))


def _scored_work(chosen: Compression, teacher: TrainedModel) -> WorkFolder:
    work = open_work(Path(chosen.model).resolve().parent.parent) if is_run(chosen.model) else None
    work = work or (work_of(chosen.model) if os.path.isfile(chosen.model) else None)
    if work is None or teacher.kind != "translation":
        raise UserError("--score needs a run of the recipe for translation as MODEL: its test set is scored")
    return work


def _digest(trained: TrainedModel) -> str:
    """Of all tensors, wherever they lie."""
    digest = hashlib.sha256()
    for name, tensor in sorted(trained.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _is_file(output: Path) -> bool:
    return output.suffix in _FILES
