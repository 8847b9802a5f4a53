"""Which warnings a command with the plugin prints."""

import re
import warnings

import pytest
from conftest import fairseq, train_flags

from fairseq_alone.seams import quiet


def warned(text):
    return re.findall(r"^.*Warning: .*$", text, re.MULTILINE)


@pytest.mark.slow
def test_a_training_warns_of_nothing_that_the_user_cannot_change(data, tmp_path):
    flags = train_flags(data, tmp_path, "--share-all-embeddings", "--max-update", 2, "--no-save")
    done = fairseq("train", *flags)
    shown = [line for line in warned(done.stdout + done.stderr) if "key_padding_mask" not in line]
    assert shown == []
    # Without the plugin there are such warnings, so the lines above would have seen them.
    flags = train_flags(data, tmp_path, "--max-update", 2, "--no-save", arch="transformer")
    position = flags.index("--user-dir")
    stock = fairseq("train", *flags[:position], *flags[position + 2 :])
    assert len(warned(stock.stdout + stock.stderr)) > 5


# A sentence of each warning, and the module that it is about.
SENTENCES = (
    ("hydra.experimental.initialize() is no longer experimental. Use hydra.initialize()", "hydra.experimental.x"),
    ("hydra.experimental.compose() is no longer experimental. Use hydra.compose()", "hydra.experimental.x"),
    ("\nThe version_base parameter is not specified.", "hydra.experimental.initialize"),
    ("In 'config': Usage of deprecated keyword in package header '# @package _group_'.", "hydra.core.default_element"),
    ("\nThe strict flag in the compose API is deprecated.", "hydra.compose"),
    ("\n'config' is validated against ConfigStore schema with the same name.", "__main__"),
    ("'pin_memory' argument is set as true but no accelerator is found", "torch.utils.data.dataloader"),
    ("`torch.cuda.amp.autocast(args...)` is deprecated.", "fairseq.tasks.fairseq_task"),
    ("CUDA is not available or torch_xla is imported. Disabling autocast.", "torch.cuda.amp.autocast_mode"),
)


def comes_through(message, kind, module):
    """Whether the warning comes through after the plugin is installed."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        warnings.simplefilter("always")
        quiet.install()
        warnings.warn_explicit(message, kind, f"{module}.py", 1, module)
    return bool(caught)


@pytest.mark.parametrize(("message", "module"), SENTENCES)
def test_nothing_else_is_hidden(message, module):
    kind = FutureWarning if module.startswith("fairseq") else UserWarning
    assert not comes_through(message, kind, module)
    assert comes_through(message, RuntimeWarning, module)
    assert comes_through(f"Note: {message}", kind, module)
    if module != "__main__":
        assert comes_through(message, kind, "somewhere.else")
