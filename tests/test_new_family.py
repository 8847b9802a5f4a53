"""A family of embeddings that a user's own plugin registers trains, resumes, averages, decodes and reports."""

import json

import pytest
from fairseq_commands import fairseq, python, succeeded, train

from fairseq_alone.cli import main

pytestmark = pytest.mark.slow

# A table whose vectors are scaled by a trained number each.
PLUGIN = """
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from fairseq.dataclass import FairseqDataclass

from fairseq_alone.models.embedding_family import EmbeddingFamily
from fairseq_alone.models.families import register_family
from fairseq_alone.models.family_flags import flag
from fairseq_alone.modules.computed_embedding import ComputedEmbedding


class ScaledTable(ComputedEmbedding):
    def __init__(self, num_embeddings, embedding_dim, padding_idx, scale):
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.directions = torch.nn.Parameter(torch.randn(num_embeddings, embedding_dim) * embedding_dim**-0.5)
        self.scales = torch.nn.Parameter(torch.full((num_embeddings,), scale))

    def compute(self, ids, input_dropout=False):
        kept = (ids != self.padding_idx).unsqueeze(1)
        return F.embedding(ids, self.directions) * self.scales[ids].unsqueeze(1) * kept


@dataclass
class ScaledFlags(FairseqDataclass):
    scaled_start: float = flag(1.0, "the first scale", "X")


@register_family
class ScaledFamily(EmbeddingFamily):
    name, class_name = "scaled", "Scaled"
    flags = ScaledFlags
    report_rows = {"scales": "scales"}

    @classmethod
    def build_from_flags(cls, args, num_embeddings, embed_dim, padding_idx, stream):
        return ScaledTable(num_embeddings, embed_dim, padding_idx, args.scaled_start)

    @classmethod
    def flags_of_share(cls, share, num_embeddings, embed_dim):
        return {}

    @classmethod
    def describe(cls, tensors):
        if "directions" not in tensors:
            return None
        vocabulary, embed_dim = tensors["directions"].shape
        return {"vocabulary": vocabulary, "embed_dim": embed_dim, "scales": vocabulary}
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugin") / "scaled_plugin"
    folder.mkdir()
    (folder / "__init__.py").write_text(PLUGIN)
    return folder


def test_it_trains_resumes_averages_reports_and_decodes(plugin, data, tmp_path):
    def train_with(start, folder, *flags):
        flags = ("--tie-embeddings", "all", "--scaled-start", start, *flags)
        train(data, folder, *flags, arch="transformer_scaled", user_dir=plugin)

    def tool(*arguments):
        # Not in this process: other tests shall not know the family.
        code = "import sys; from fairseq_alone.cli import main; sys.exit(main(sys.argv[1:]))"
        return python(code, "--user-dir", plugin, *arguments, fairseq_imported=True)

    run, mean = tmp_path / "run", tmp_path / "mean.pt"
    for updates in (4, 8):
        train_with(0.5, run, "--save-interval-updates", 2, "--max-update", updates)
    succeeded(tool("average", "--last", 2, "--by", "update", "--dir", run, "--output", mean, "--quiet"))
    report = json.loads(succeeded(tool("report", "--json", mean)).stdout)[0]
    words = report["settings"]["vocabulary"]["source"]
    assert (report["settings"]["embedding"], report["settings"]["scales"]) == ("scaled", words)
    assert report["settings"]["tying"] == "three-way"
    assert report["parameters"]["embedding"] == words * (16 + 1)
    flags = ["--required-batch-size-multiple", 1, "--cpu", "--beam", 2]
    done = fairseq("generate", data, "--user-dir", plugin, "--path", mean, *flags)
    assert done.stdout.count("\nH-") == 33
    # Checkpoints of another setting of the family do not belong together.
    train_with(0.7, tmp_path / "other", "--max-update", 1)
    last = [folder / "checkpoint_last.pt" for folder in (run, tmp_path / "other")]
    refused = tool("average", *last, "--output", tmp_path / "no.pt", "--quiet")
    assert refused.returncode == 1
    assert "--scaled-start is 0.5" in refused.stderr


def test_two_families_of_one_name_are_refused():
    from fairseq_alone.models.families import FAMILIES, register_family

    with pytest.raises(ValueError, match="there is a family 'alone' already: AloneFamily"):
        register_family(FAMILIES["alone"])


def test_a_user_dir_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert main(["--user-dir", str(tmp_path / "no"), "report", "x.pt"]) == 1
    assert "no: there is no such folder" in capsys.readouterr().err
