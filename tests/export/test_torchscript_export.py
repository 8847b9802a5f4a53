"""``export --to torchscript``: one file that decodes as fairseq does, in a process without fairseq too."""

import re
from pathlib import Path

import pytest
import torch
from fairseq_commands import python
from toy_trained import toy_trained, with_subwords

from fairseq_alone.errors import UserError
from fairseq_alone.export import torchscript_export
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.export.verification import verify_scores, verify_translation
from fairseq_alone.inference.backend import Search
from fairseq_alone.inference.fairseq_backend import FairseqBackend
from fairseq_alone.inference.fairseq_scorer import FairseqScorer
from fairseq_alone.inference.text_pipeline import TextPipeline
from fairseq_alone.inference.trained_model import Decoding

pytestmark = pytest.mark.slow

RUN = """
import os, re, sys
os.chdir(sys.argv[1])
exec(re.search("```python\\n(.*?)```", open("README.md").read(), re.S)[1])
assert "fairseq" not in sys.modules
"""


def exported(trained, folder):
    torchscript_export.write(trained, folder, ExportOptions())
    return folder


def printed_by_the_readme(folder):
    done = python(RUN, folder, fairseq_imported=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def translation(tmp_path_factory):
    trained = toy_trained("transformer_alone", "--share-all-embeddings", "--decoder-normalize-before")
    # Untrained, it does not end by itself.
    trained.decoding = Decoding(beam=2, lenpen=0.7, max_len_b=6)
    return trained, exported(trained, tmp_path_factory.mktemp("translation"))


def test_the_search_is_fairseqs(translation):
    trained, folder = translation
    found = verify_translation(trained, torchscript_export.open_backend(trained, folder))
    assert (found.sentences, found.equal) == (32, 32)
    assert found.largest_score_difference < 1e-5


def test_each_call_has_its_own_settings(translation):
    trained, folder = translation
    scripted, original = torchscript_export.open_backend(trained, folder), FairseqBackend(trained)
    sources = ["w1 w2 w3", "w4", "w5 w6"]
    lists = []
    for search in (Search(2, 1.0, 2, 0.0, 5, nbest=2), Search(4, 0.3, 8, 0.0, 9, nbest=3)):
        lists.append([[h.units for h in best] for best in scripted.decode(sources, search)])
        assert lists[-1] == [[h.units for h in best] for best in original.decode(sources, search)]
    assert lists[0] != lists[1]


def test_the_readme_translates_without_fairseq(translation):
    trained, folder = translation
    sentence = re.search(r'sentences = \["(.*)"\]', (folder / "README.md").read_text())[1]
    decoding = trained.decoding
    search = Search(decoding.beam, decoding.lenpen, 1, decoding.max_len_a, decoding.max_len_b)
    ((best,),) = FairseqBackend(trained).decode([sentence], search)
    units, score = printed_by_the_readme(folder).rsplit(" ", 1)
    assert units == best.units
    assert float(score) == pytest.approx(best.score, abs=1e-5)


def test_the_readme_starts_from_text(tmp_path):
    trained = with_subwords(toy_trained("transformer_alone"))
    trained.decoding = Decoding(beam=2, max_len_b=6)
    folder = exported(trained, tmp_path)
    readme = folder / "README.md"
    readme.write_text(readme.read_text().replace('["wow b o"]', '["Wob\'s wow wob."]'))
    pipeline = TextPipeline(trained.text, "toy")
    ((best,),) = FairseqBackend(trained).decode([pipeline.encode("Wob's wow wob.")], Search(2, 1.0, 1, 0.0, 6))
    text, score = printed_by_the_readme(folder).rsplit(" ", 1)
    assert text == pipeline.decode(best.units)
    assert float(score) == pytest.approx(best.score, abs=1e-5)
    assert "pip install torch sacremoses subword-nmt" in readme.read_text()


def test_the_network_is_in_the_file_once_and_gives_logits(translation):
    trained, folder = translation
    loaded = torch.jit.load(str(folder / "model.torchscript"))
    tables = [tensor.data_ptr() for tensor in loaded.state_dict().values() if tuple(tensor.shape) == (20, 8)]
    assert len(tables) > 3
    assert len(set(tables)) == 1
    inputs = torch.tensor([[4, 5, 2]]), torch.tensor([3]), torch.tensor([[2, 6]])
    with torch.no_grad():
        torch.testing.assert_close(loaded.network(*inputs)[0], trained.model(*inputs)[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "flags", [["transformer_lm_alone", "--add-bos-token"], ["lstm_lm_factorized"]], ids=lambda flags: flags[0]
)
def test_language_models(flags, tmp_path):
    trained = toy_trained(*flags, "--tie-embeddings=all")
    folder = exported(trained, tmp_path)
    found = verify_scores(trained, torchscript_export.open_scorer(trained, folder))
    assert (found.sentences, found.equal) == (32, 32)
    assert found.largest_score_difference < 1e-5
    text = re.search(r'for word in split\("(.*)"\)\]', Path(folder, "README.md").read_text())[1]
    (scores,) = FairseqScorer(trained).score([text])
    assert eval(printed_by_the_readme(folder)) == pytest.approx(scores, abs=1e-5)


def test_a_length_encoding_is_refused(tmp_path):
    trained = toy_trained("transformer_alone_duc", task="headline_generation")
    with pytest.raises(UserError, match="was trained with --length-encoding lrpe"):
        exported(trained, tmp_path)
