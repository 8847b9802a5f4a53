"""fairseq-hydra-train: a configuration file gives the model that the same flags give; it resumes, decodes, reports."""

import json

import pytest
import torch
from conftest import ROOT, SMALL_MODEL, fairseq, train

from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.cli.report import describe

pytestmark = pytest.mark.slow

CONFIGS = {
    "transformer_alone": ["--tie-embeddings", "all", "--alone-filter", "real", "--alone-inter-dim", 32],
    "rows": ["--tie-embeddings", "decoder", "--alone-free-rows", "20,10x4", "--alone-inter-dim", 32],
    "transformer_factorized": ["--share-all-embeddings", "--factorized-dim", 3],
    "transformer_alone_duc": ["--tie-embeddings", "all", "--length-encoding", "ldpe", "--alone-inter-dim", 32],
    "transformer_length_duc": ["--tie-embeddings", "all", "--length-encoding", "ldpe", "--embedding-init", "corpus"],
}
ARCHS = {"rows": "transformer_alone"}
AUGMENTED = "label_smoothed_cross_entropy_with_augmented_loss"


def settings(flags):
    """The model's flags as a configuration file has them: ``--encoder-embed-dim 16`` is ``encoder_embed_dim: 16``."""
    names = {}
    flags = [*SMALL_MODEL, *flags]
    for position, flag in enumerate(flags):
        if str(flag).startswith("--"):
            value = flags[position + 1] if position + 1 < len(flags) else True
            names[flag[2:].replace("-", "_")] = True if str(value).startswith("--") else value
    return names


def configuration(data, name, task="translation"):
    return {
        "common": {"user_dir": str(ROOT / "fairseq_alone"), "cpu": True, "log_format": "json", "log_interval": 1},
        "task": {"_name": task, "data": str(data), "source_lang": "en", "target_lang": "de"},
        "model": {"_name": ARCHS.get(name, name), "dropout": 0.1, **settings(CONFIGS[name])},
        "criterion": {"_name": AUGMENTED, "label_smoothing": 0.1},
        "optimizer": {"_name": "adam_muon" if name == "transformer_alone" else "adam"},
        "lr_scheduler": {"_name": "fixed"},
        "dataset": {"max_tokens": 400, "num_workers": 0, "required_batch_size_multiple": 1},
        "optimization": {"lr": [0.01], "max_update": 3},
    }


def hydra_train(folder, config, *overrides, check=True):
    folder.mkdir(exist_ok=True)
    # Every JSON file is YAML.
    (folder / "run.yaml").write_text(json.dumps(config))
    return fairseq(
        "hydra_train",
        *("--config-dir", folder, "--config-name", "run"),
        *(f"checkpoint.save_dir={folder / 'checkpoints'}", f"hydra.run.dir={folder / 'hydra'}", *overrides),
        check=check,
    )


def tensors(folder):
    return load_checkpoint(str(folder / "checkpoint_last.pt"))["model"]


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_file_is_the_same_training_as_flags(name, data, tmp_path):
    task = "headline_generation" if name.endswith("duc") else "translation"
    hydra_train(tmp_path / "hydra", configuration(data, name, task))
    config = configuration(data, name, task)
    flags = ["--task", task, "--criterion", AUGMENTED, "--optimizer", config["optimizer"]["_name"]]
    train(data, tmp_path / "flags", *CONFIGS[name], *flags, arch=config["model"]["_name"])
    from_hydra, from_flags = tensors(tmp_path / "hydra/checkpoints"), tensors(tmp_path / "flags")
    assert list(from_hydra) == list(from_flags)
    assert all(torch.equal(from_hydra[key], from_flags[key]) for key in from_flags)
    reports = [describe(str(tmp_path / folder / "checkpoint_last.pt")) for folder in ("hydra/checkpoints", "flags")]
    for key in ("parameters", "settings", "ties"):
        assert reports[0][key] == reports[1][key]


def test_resume_and_decode(data, tmp_path):
    config = configuration(data, "rows")
    hydra_train(tmp_path / "twice", config, "optimization.max_update=2")
    hydra_train(tmp_path / "twice", config, "optimization.max_update=4")
    hydra_train(tmp_path / "once", config, "optimization.max_update=4")
    twice, once = (tensors(tmp_path / folder / "checkpoints") for folder in ("twice", "once"))
    assert all(torch.equal(twice[key], once[key]) for key in once)
    path = tmp_path / "once/checkpoints/checkpoint_last.pt"
    flags = ["--required-batch-size-multiple", 1, "--cpu", "--beam", 2]
    done = fairseq("generate", data, "--user-dir", "fairseq_alone", "--path", path, *flags)
    assert done.stdout.count("\nH-") == 33


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"alone_filtre": "real"}, "model.alone_filtre: transformer_alone has no such setting; it has alone_base_dim"),
        ({"factorized_dim": 4}, "model.factorized_dim: transformer_alone has no such setting"),
        ({"alone_seed": 1.5}, "model.alone_seed (--alone-seed): 1.5 is no int"),
        (
            {"alone_rebuild": "often"},
            "model.alone_rebuild (--alone-rebuild) must be one of update, forward, got 'often'",
        ),
        ({"alone_fix_base": "perhaps"}, "model.alone_fix_base (--alone-fix-base) must be true or false, got 'perhaps'"),
        ({"alone_free_rows": 500}, "--alone-free-rows must be at most"),
    ],
)
def test_a_bad_setting_is_one_sentence(setting, sentence, data, tmp_path):
    config = configuration(data, "transformer_alone")
    config["model"].update(setting)
    done = hydra_train(tmp_path / "run", config, check=False)
    assert done.returncode == 1
    assert f"error: {sentence}" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_the_recipes_file_trains(data, tmp_path):
    smaller = [f"model.{side}_{name}" for side in ("encoder", "decoder") for name in ("layers=1", "embed_dim=8")]
    fairseq(
        "hydra_train",
        *("--config-dir", ROOT / "examples/wmt_ende", "--config-name", "hydra_small", *smaller),
        *(f"common.user_dir={ROOT / 'fairseq_alone'}", f"task.data={data}", "optimization.max_update=1"),
        # Half of the table of so few words would leave nothing for the network.
        *("model.alone_share=0.75", f"checkpoint.save_dir={tmp_path}", f"hydra.run.dir={tmp_path / 'hydra'}"),
    )
    assert load_checkpoint(str(tmp_path / "checkpoint_last.pt"))["cfg"]["model"]["alone_share"] == 0.75
