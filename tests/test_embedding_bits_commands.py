"""A training with ``--embedding-bits`` goes on exactly, and has one perplexity before and after its export."""

import re

import pytest
from fairseq_commands import assert_same_parameters, fairseq, stock_fairseq, train, train_log

from fairseq_alone.cli import main

pytestmark = pytest.mark.slow

KINDS = {
    "transformer_conventional": ("--embedding-bits", 4, "--share-all-embeddings"),
    "transformer_codes": ("--embedding-bits", 8, "--tie-embeddings", "none", "--codes-num-codebooks", 3),
}
VALIDATION = (
    "--task",
    "translation",
    "--cpu",
    "--required-batch-size-multiple",
    1,
    "--max-tokens",
    400,
    "--num-workers",
    0,
)


@pytest.fixture(scope="module", params=KINDS)
def training(request, data, tmp_path_factory):
    """The folder of three updates and three more, the flags, and what the second half printed."""
    folder = tmp_path_factory.mktemp("bits")
    flags = [*KINDS[request.param], "--embedding-bits-after", 2]
    train(data, folder, *flags, arch=request.param)
    done = train(data, folder, *flags, "--max-update", 6, arch=request.param)
    return folder, flags, request.param, done


def test_it_goes_on_exactly(training, data, tmp_path):
    folder, flags, arch, _ = training
    train(data, tmp_path, *flags, "--max-update", 6, arch=arch)
    assert_same_parameters(tmp_path / "checkpoint_last.pt", folder / "checkpoint_last.pt", rtol=0, atol=1e-6)
    never = [*flags, "--embedding-bits", 32, "--embedding-bits-after", 0]
    train(data, tmp_path / "never", *never, "--max-update", 6, arch=arch)
    with pytest.raises(BaseException, match="encoder"):
        assert_same_parameters(tmp_path / "never/checkpoint_last.pt", folder / "checkpoint_last.pt", rtol=0, atol=1e-6)


def test_one_perplexity_before_and_after_the_export(training, data, tmp_path):
    folder, _, _, done = training
    of_training = train_log(done.stderr + done.stdout, "valid")[-1]
    checkpoint, compact, stock = folder / "checkpoint_last.pt", tmp_path / "model.safetensors", tmp_path / "stock"
    own = fairseq("validate", data, "--user-dir", "fairseq_alone", "--path", checkpoint, *VALIDATION)
    flags = ("--quantization", "fp32", "--no-verify", "--data", str(data))
    assert main(["export", str(checkpoint), str(compact), "--to", "compact", *flags]) == 0
    assert main(["export", str(compact), str(stock), "--to", "fairseq", "--no-verify"]) == 0
    exported = stock_fairseq("validate", data, "--path", stock / "model.pt", *VALIDATION)
    assert results(exported) == results(own)
    assert f"ppl {of_training['valid_ppl']}" in results(own)[0]


def results(done):
    found = re.findall(r"valid \| .*", done.stdout + done.stderr)
    assert found, done.stdout + done.stderr
    return found
