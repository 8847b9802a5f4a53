"""The code of docs/compact-format.md reads compact files without fairseq, and gives the tensors of the package."""

import json
import re

import pytest
import torch
from fairseq_commands import ROOT, python, succeeded
from toy_trained import toy_trained

from fairseq_alone.export import compact_export
from fairseq_alone.export.stock import stock_model
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.inference.compact_source import read_compact
from fairseq_alone.modules.compact_file import read_metadata

BLOCK = re.search(r"^```python\n(.*?)^```$", (ROOT / "docs/compact-format.md").read_text("utf-8"), re.M | re.S)[1]
REGULARIZED = ("--output-projection-regularization=0.1", "--criterion=cross_entropy_with_augmented_loss")

pytestmark = pytest.mark.slow


def test_it_is_short():
    assert len(BLOCK.splitlines()) <= 40


@pytest.mark.parametrize(
    ("arch", "flags", "quantization"),
    [
        ("transformer_alone", ("--tie-embeddings=all", "--alone-free-rows=3,4x2"), "int8"),
        ("transformer_alone", ("--tie-embeddings=none", *REGULARIZED), "int4"),
        ("transformer_alone", ("--tie-embeddings=decoder", "--alone-filter=real"), "fp16"),
        ("transformer_codes", ("--tie-embeddings=decoder",), "int4"),
        ("transformer_factorized", ("--tie-embeddings=all",), "fp32"),
        ("transformer_conventional", ("--tie-embeddings=none",), "int4"),
        ("transformer", ("--share-all-embeddings",), "int8"),
    ],
)
def test_it_gives_the_tensors_of_the_package(arch, flags, quantization, tmp_path):
    path = tmp_path / "model.safetensors"
    compact_export.write(toy_trained(arch, *flags, vocabulary=45), path, ExportOptions(quantization))
    start = "import os, sys\nsys.modules['fairseq'] = None\nos.chdir(sys.argv[1])\n"
    end = "\ntorch.save((stock, vectors), 'read.pt')"
    succeeded(python(start + BLOCK + end, tmp_path, fairseq_imported=False))
    stock, vectors = torch.load(tmp_path / "read.pt")
    trained = read_compact(str(path))
    expected = stock_model(trained).state_dict
    assert stock.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(stock[name], tensor), name
    with torch.no_grad():
        assert torch.equal(vectors, trained.model.encoder.embed_tokens(torch.tensor([[4, 5, 2]])))


def test_the_table_of_the_metadata_is_complete(tmp_path):
    compact_export.write(toy_trained("transformer_alone", target_vocabulary=30), tmp_path / "x", ExportOptions())
    document = (ROOT / "docs/compact-format.md").read_text("utf-8")
    metadata = read_metadata(tmp_path / "x")
    rows = re.findall(r"^\| (`.*?) \| ", document.split("## Format")[1], re.M)
    described = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert metadata.keys() <= described
    assert next(iter(metadata)) == "checksum"
    assert json.loads(metadata["embeddings"]).keys() == {
        "encoder.embed_tokens",
        "decoder.embed_tokens",
        "decoder.output_embedding",
    }
