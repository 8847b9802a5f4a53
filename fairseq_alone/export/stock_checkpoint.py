"""A checkpoint as stock fairseq writes one, of containers and tensors only: torch's safe loader takes it as it is."""

from __future__ import annotations

from typing import Any

from fairseq_alone.export.stock import StockModel
from fairseq_alone.inference.trained_model import TextSettings, TrainedModel

#: Names of the files with the subword model, as fairseq's ``from_pretrained`` finds them beside a checkpoint.
SUBWORD_FILES = {"subword-nmt": "bpecodes", "sentencepiece": "sentencepiece.bpe.model"}

# Ours, and the criterion of fairseq without the additional loss.
_CRITERIONS = {
    "cross_entropy_with_augmented_loss": "cross_entropy",
    "cross_entropy_with_distillation": "cross_entropy",
    "label_smoothed_cross_entropy_with_augmented_loss": "label_smoothed_cross_entropy",
    "label_smoothed_cross_entropy_with_distillation": "label_smoothed_cross_entropy",
}


def stock_checkpoint(trained: TrainedModel, stock: StockModel) -> dict[str, Any]:
    """What ``torch.save`` is to write.

    ``from_pretrained`` needs all groups of settings, ``fairseq-validate`` the criterion, and ``fairseq-train
    --finetune-from-model`` a place in the data. ``from_pretrained`` finds in them how raw text is split and decoded.

    Args:
        trained: the model.
        stock: the same, converted.
    """
    return {
        "args": None,
        "cfg": {**_all_defaults(), **_settings(trained, stock)},
        "model": stock.state_dict,
        "criterion": None,
        "optimizer_history": [
            {
                "criterion_name": "CrossEntropyCriterion",
                "optimizer_name": "FairseqAdam",
                "lr_scheduler_state": {"best": None},
                "num_updates": 0,
            }
        ],
        "task_state": {},
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}, "val_loss": None},
        "last_optimizer_state": None,
    }


def _all_defaults() -> dict[str, Any]:
    from fairseq.dataclass.configs import FairseqConfig

    return _values(FairseqConfig())


def _settings(trained: TrainedModel, stock: StockModel) -> dict[str, Any]:
    from fairseq.tasks import TASK_DATACLASS_REGISTRY

    task = stock.config["task"]
    known = _own_values(TASK_DATACLASS_REGISTRY[task["_name"]])
    # Replaced by whoever reads the checkpoint, who needs the name to be there.
    known |= {**task, "data": "."}
    defaults = _all_defaults()
    decoding = trained.decoding
    generation = {
        "beam": decoding.beam,
        "lenpen": decoding.lenpen,
        "max_len_a": decoding.max_len_a,
        "max_len_b": decoding.max_len_b,
    }
    return {
        "model": stock.config["model"],
        "task": known,
        "criterion": _criterion(trained),
        "generation": {**defaults["generation"], **generation},
        "bpe": _bpe(trained.text),
        "tokenizer": _tokenizer(trained.text),
    }


def _criterion(trained: TrainedModel) -> dict[str, Any]:
    from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY

    given = trained.config.get("criterion") or {}
    name = _CRITERIONS.get(given.get("_name", ""), given.get("_name"))
    is_fairseqs = name in CRITERION_DATACLASS_REGISTRY and CRITERION_REGISTRY[name].__module__.startswith("fairseq.")
    if not is_fairseqs:
        return {"_name": "cross_entropy", "sentence_avg": False}
    # Some are interpolations of the training's settings, which are not in here.
    defaults = {"sentence_avg": False, **_own_values(CRITERION_DATACLASS_REGISTRY[name])}
    return {setting: given.get(setting, value) for setting, value in defaults.items()} | {"_name": name}


def _bpe(text: TextSettings) -> dict[str, Any] | None:
    if text.subwords == "none":
        return None
    file = SUBWORD_FILES[text.subwords]
    if text.subwords == "subword-nmt":
        return {"_name": "subword_nmt", "bpe_codes": file, "bpe_separator": "@@"}
    return {"_name": "sentencepiece", "sentencepiece_model": file}


def _tokenizer(text: TextSettings) -> dict[str, Any] | None:
    if text.tokenizer != "moses":
        return None
    return {
        "_name": "moses",
        "source_lang": text.tokenizer_lang,
        "target_lang": text.target_lang,
        "moses_no_dash_splits": True,
        "moses_no_escape": False,
    }


def _values(dataclass: Any) -> dict[str, Any]:
    from omegaconf import OmegaConf

    values: Any = OmegaConf.to_container(OmegaConf.structured(dataclass), resolve=False, enum_to_str=True)
    return values


def _own_values(dataclass: Any) -> dict[str, Any]:
    """The defaults of a dataclass, without those that are another setting's."""
    return {name: value for name, value in _values(dataclass()).items() if not str(value).startswith(("${", "???"))}
