"""Decoding with candidates: their scores are the model's, all others minus infinity, and cost nothing."""

import pytest
import torch
from small_models import KINDS
from toy_trained import toy_trained

from fairseq_alone.corpus.candidates import Candidates
from fairseq_alone.errors import UserError
from fairseq_alone.inference.backend import Search
from fairseq_alone.inference.fairseq_backend import FairseqBackend
from fairseq_alone.models.candidate_lists import CandidateLists

SOURCE = torch.tensor([[4, 5, 2], [1, 6, 2]])
# Of words w0 (4), w1 (5), ...: what the sources bring, and what always counts.
ALLOWED = [0, 1, 2, 3, 10, 11, 14, 16, 17]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("candidates") / "file")
    likely = {"w0": ["w10"], "w1": ["w12", "w13"], "w2": ["w13"], "w3": ["w15"]}
    Candidates(["w6", "w7"], likely).write(path)
    return path


def model_of(kind, tying, *flags):
    return toy_trained(f"transformer_{kind}", f"--tie-embeddings={tying}", *flags).model


@pytest.mark.parametrize("tying", ["all", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_scores(kind, tying, file):
    lengths, previous = torch.tensor([3, 2]), torch.tensor([[2, 7, 8], [2, 9, 1]])
    expected = model_of(kind, tying)(SOURCE, lengths, previous)[0]
    limited = model_of(kind, tying, f"--candidates={file}")
    found = limited(SOURCE, lengths, previous)[0]
    torch.testing.assert_close(found[..., ALLOWED], expected[..., ALLOWED])
    others = [word for word in range(20) if word not in ALLOWED]
    assert (found[..., others] == -torch.inf).all()
    assert torch.equal(
        limited(SOURCE, lengths, previous, features_only=True)[0],
        limited.extract_features(SOURCE, lengths, previous)[0],
    )


def test_half_of_a_beam_has_the_words_of_its_sources(file):
    """Beam search repeats sources, and leaves out those that are done."""
    model = model_of("factorized", "all", f"--candidates={file}")
    encoded = model.encoder.forward_torchscript({"src_tokens": SOURCE, "src_lengths": torch.tensor([3, 2])})
    reordered = model.encoder.reorder_encoder_out(encoded, torch.tensor([1, 1]))
    scores = model.decoder(torch.tensor([[2], [2]]), encoder_out=reordered)[0]
    assert torch.isfinite(scores[0, 0]).nonzero().squeeze(1).tolist() == [0, 1, 2, 3, 10, 11, 17]


def test_decoding_writes_candidates_only(file):
    def words_of(*flags):
        trained = toy_trained("transformer_factorized", "--tie-embeddings=none", *flags)
        found = FairseqBackend(trained).decode(["w0 w1", "w2", "w3"], Search(3, 1.0, 3, 0.0, 8, nbest=3))
        return {word for hypotheses in found for one in hypotheses for word in one.units.split()}

    allowed = {"w6", "w7", "w10", "w12", "w13", "w15", "<unk>"}
    assert words_of(f"--candidates={file}") & allowed
    assert words_of(f"--candidates={file}") <= allowed
    assert not words_of() <= allowed


def test_only_rows_of_candidates_are_computed(file, monkeypatch):
    model = model_of("alone", "none", f"--candidates={file}")
    embedding = model.decoder.output_embedding
    monkeypatch.setattr(type(embedding), "_may_cache", lambda self: False)
    counted = []
    compute = embedding.compute
    monkeypatch.setattr(embedding, "compute", lambda ids, **flags: counted.append(len(ids)) or compute(ids, **flags))
    model(SOURCE, torch.tensor([3, 2]), SOURCE)
    assert counted == [len(ALLOWED)]


def test_words():
    lists = CandidateLists(torch.tensor([2, 5]), torch.tensor([[-1, -1], [7, -1], [7, 8]]), 10)
    assert lists.words(torch.tensor([[0, 1]])).tolist() == [2, 5, 7]
    assert lists.words(torch.tensor([[2], [2]])).tolist() == [2, 5, 7, 8]
    assert not lists.state_dict()
    none = CandidateLists(torch.tensor([2, 5]), torch.zeros(3, 0, dtype=torch.int64), 10)
    assert none.words(torch.tensor([[0, 1]])).tolist() == [2, 5]


def test_a_checkpoint_holds_nothing_of_it(file):
    trained = toy_trained("transformer_factorized", f"--candidates={file}")
    assert trained.model.state_dict().keys() == toy_trained("transformer_factorized").model.state_dict().keys()
    assert "candidates" not in trained.config["model"]


def test_refused(file):
    model = model_of("factorized", "all", f"--candidates={file}")
    with pytest.raises(UserError, match="--candidates is for decoding: leave it out of the training"):
        model.train()
    with pytest.raises(UserError, match="TorchScript does not work with --candidates"):
        torch.jit.script(model)
    with pytest.raises(UserError, match="no-file"):
        model_of("factorized", "all", "--candidates=no-file")
    with pytest.raises(UserError, match="--candidates does not work with --length-encoding lrpe"):
        toy_trained(
            "transformer_factorized_duc", "--length-encoding=lrpe", f"--candidates={file}", task="headline_generation"
        )
