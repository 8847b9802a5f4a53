"""``--alone-codes``: filters whose codes are learned from vectors or read from a file."""

import copy
from argparse import Namespace

import numpy as np
import pytest
import torch
from fairseq_commands import one_sentence, train
from small_models import Task, build, moving_average, parse
from toy_checkpoints import write_checkpoint
from toy_trained import toy_trained

from fairseq_alone.checkpoints import load_checkpoint
from fairseq_alone.cli.average import average
from fairseq_alone.cli.report import describe
from fairseq_alone.corpus.learning import WordVectors
from fairseq_alone.errors import UserError
from fairseq_alone.export.bundle import BundleOptions, write_bundle
from fairseq_alone.inference.opening import open_model
from fairseq_alone.models import starting
from fairseq_alone.models.alone_family import AloneFamily
from fairseq_alone.modules import alone_fit
from fairseq_alone.modules.build_embedding import build_embedding

SIZES = ["--alone-num-codebooks=3", "--alone-codebook-size=5", "--alone-filter=real"]
TIED = ["--tie-embeddings=all", *SIZES]


def alike(words=50, seed=1):
    """Vectors of which words 10 to 13 nearly agree."""
    generator = np.random.Generator(np.random.Philox(key=seed))
    vectors = generator.normal(size=(words, 8)).astype(np.float32)
    vectors[10:14] = vectors[10] + 0.01 * vectors[10:14]
    return WordVectors(vectors, np.full(words, 10.0))


@pytest.fixture
def word_vectors(monkeypatch):
    """Word vectors as if learned from training data, the sides apart."""
    monkeypatch.setattr(starting, "_learned", lambda *_: (alike(), alike(seed=2)))
    monkeypatch.setattr(alone_fit, "_UPDATES", 3)
    torch.manual_seed(1)


def started(*flags, task=None):
    model = build("transformer_alone", *flags, task=task)
    args = parse("transformer_alone", *flags)
    starting.start_embeddings(model, args, task or Task())
    return model


def test_codes_of_a_file_and_a_checkpoint_without_it(tmp_path):
    path = tmp_path / "codes.txt"
    path.write_text("w0 4 3 2\nunknown 0 0 0\nw5 0 1 4\n")
    model = build("transformer_alone", *TIED, f"--alone-codes={path}").eval()
    embedding, plain = (m.encoder.embed_tokens for m in (model, build("transformer_alone", *TIED)))
    assert embedding.filters.codes[[4, 9]].tolist() == [[4, 3, 2], [0, 1, 4]]
    rest = [word for word in range(50) if word not in (4, 9)]
    assert torch.equal(embedding.filters.codes[rest].int(), plain.filters.codes[rest])
    path.unlink()
    again = build("transformer_alone", *TIED, f"--alone-codes={path}").eval()
    with pytest.raises(UserError, match="--alone-codes .*codes.txt: there is no such file"):
        again.encoder.embed_tokens(torch.tensor([4]))
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.encoder.embed_tokens.matrix(), embedding.matrix())


def test_a_malformed_file_names_the_line(tmp_path):
    path = tmp_path / "codes.txt"
    path.write_text("w0 1 2 3\nw1 1 2 5\n")
    with pytest.raises(UserError, match="line 2: expected a word and 3 whole numbers from 0 to 4"):
        build("transformer_alone", *TIED, f"--alone-codes={path}")


def test_codes_of_the_corpus_need_a_task_with_one():
    without = Task()
    without.args = Namespace()
    with pytest.raises(UserError, match="--alone-codes corpus needs --task translation or language_modeling"):
        started(*TIED, "--alone-codes=corpus", task=without)


def test_naive_filters_refuse_codes():
    with pytest.raises(UserError, match="--alone-codes must be random with a naive filter"):
        build("transformer_alone", "--alone-filter=naive", "--alone-codes=corpus")


@pytest.mark.parametrize("kind", ["binary", "real"])
def test_words_that_are_alike_share_codes(word_vectors, kind):
    flags = [*TIED, f"--alone-filter={kind}", "--alone-codes=corpus"]
    model = started(*flags)
    codes = model.encoder.embed_tokens.filters.codes
    assert len(set(map(tuple, codes.tolist()))) == 50
    assert len(set(codes[10:14, 0].tolist())) == 1
    assert len(set(codes[20:, 0].tolist())) > 2
    assert not model.encoder.embed_tokens.matrix()[1].any()
    # Only the codes are learned: W is what the seed gives.
    torch.manual_seed(5)
    first = started(*flags)
    torch.manual_seed(5)
    plain = build("transformer_alone", *flags)
    assert torch.equal(first.encoder.embed_tokens.w1, plain.encoder.embed_tokens.w1)
    deviation = first.encoder.embed_tokens.matrix().std().item()
    assert deviation == pytest.approx(8**-0.5, rel=0.1)


def test_values_and_codes_of_given_vectors(tmp_path, monkeypatch):
    monkeypatch.setattr(alone_fit, "_UPDATES", 3)
    torch.manual_seed(1)
    words, path = alike(), tmp_path / "vectors.txt"
    path.write_text("".join(f"w{i - 4} {' '.join(map(str, words.vectors[i]))}\n" for i in range(4, 50)))
    model = started(*TIED, "--alone-codes=corpus", f"--embedding-init={path}")
    codes = model.encoder.embed_tokens.filters.codes
    assert len(set(codes[10:14, 0].tolist())) == 1
    vectors = model.encoder.embed_tokens.matrix().detach()
    assert torch.pdist(vectors[10:14]).mean() < 0.7 * torch.pdist(vectors[20:]).mean()


def test_untied_sides_have_codes_of_their_own(word_vectors):
    model = started("--tie-embeddings=none", *SIZES, "--alone-codes=corpus")
    source, target = model.encoder.embed_tokens, model.decoder.embed_tokens
    assert not torch.equal(source.filters.codes, target.filters.codes)
    assert torch.equal(target.filters.codes, model.decoder.output_embedding.filters.codes)


def test_sums_of_the_first_layer_follow_new_codes(word_vectors):
    embedding = build("transformer_alone", *TIED, "--alone-codes=corpus").encoder.embed_tokens
    ids = torch.arange(50)
    for seed in (1, 2):
        words = alike(seed=seed)
        AloneFamily.learn_codes(embedding, torch.from_numpy(words.vectors), torch.from_numpy(words.frequency))
        torch.testing.assert_close(embedding.matrix(), embedding.compute(ids))
    saved, before = copy.deepcopy(embedding.state_dict()), embedding.matrix().detach()
    embedding.set_codes(embedding.filters.codes.flip(0))
    assert not torch.equal(embedding.matrix(), before)
    embedding.load_state_dict(saved)
    assert torch.equal(embedding.matrix(), before)


def test_replaced_values_are_noticed(word_vectors):
    """What the workers of a distributed training do with the first one's values."""
    first, second = started(*TIED, "--alone-codes=corpus"), build("transformer_alone", *TIED, "--alone-codes=corpus")
    ours, theirs = first.encoder.embed_tokens, second.encoder.embed_tokens
    for mine, other in zip(
        [*ours.parameters(), *ours.buffers()], [*theirs.parameters(), *theirs.buffers()], strict=True
    ):
        other.data.copy_(mine.data)
    with pytest.raises(UserError, match="neither set nor loaded"):
        theirs.matrix()
    theirs.values_were_replaced()
    assert torch.equal(ours.matrix(), theirs.matrix())


def test_copies_averages_and_plain_pytorch(word_vectors):
    model = started(*TIED, "--alone-codes=corpus").eval()
    embedding = model.encoder.embed_tokens
    codes, matrix = embedding.filters.codes.clone(), embedding.matrix().detach()
    assert torch.equal(copy.deepcopy(embedding).eval().matrix().detach(), matrix)
    average = moving_average(model, 0.5)
    average.step(model)
    assert torch.equal(average.get_model().encoder.embed_tokens.filters.codes, codes)
    settings = AloneFamily.module_settings(embedding)
    assert settings["given_codes"] is True
    assert "given_codes" not in AloneFamily.module_settings(build("transformer_alone", *TIED).encoder.embed_tokens)
    plain = build_embedding("alone", settings)
    plain.load_state_dict(embedding.state_dict())
    assert torch.equal(plain.matrix().detach(), matrix)
    assert torch.equal(copy.deepcopy(model).half().encoder.embed_tokens.filters.codes, codes)


def test_an_exported_model_names_no_file():
    flags = {"alone_codes": "/home/somebody/codes.txt"}
    AloneFamily.forget_files(flags)
    assert flags == {"alone_codes": "corpus"}
    flags = {"alone_codes": "random"}
    AloneFamily.forget_files(flags)
    assert flags == {"alone_codes": "random"}


def test_a_bundle_has_the_codes(tmp_path):
    trained = toy_trained("transformer_alone", "--tie-embeddings=all", "--alone-codes=corpus")
    embedding = trained.model.encoder.embed_tokens
    embedding.set_codes(embedding.random_codes.flip(0))
    write_bundle(trained, str(tmp_path / "bundle"), BundleOptions())
    read = open_model(str(tmp_path / "bundle")).model.encoder.embed_tokens
    assert torch.equal(read.filters.codes, embedding.filters.codes)
    torch.testing.assert_close(read.matrix(), embedding.matrix(), atol=2e-3, rtol=0)


def test_report_counts_the_codes(tmp_path):
    flags = {"arch": "transformer_alone", "vocabulary": 30}
    random = describe(write_checkpoint(tmp_path / "random.pt", **flags))
    given = describe(write_checkpoint(tmp_path / "given.pt", **flags, alone_codes="corpus"))
    codes = 30 * 8
    assert (random["settings"]["codes"], random["settings"]["code_bytes"]) == ("random", None)
    assert (given["settings"]["codes"], given["settings"]["code_bytes"]) == ("learned or given", codes)
    assert given["settings"]["variant"] == "binary, learned or given codes"
    assert given["parameters"] == random["parameters"]
    for form in ("trained", "int8"):
        # Codes from 0 to 63 are packed into six bits each; the fingerprint has a number more.
        more = codes * 6 // 8 + 8
        assert given["product_bytes"][form]["embedding"] == random["product_bytes"][form]["embedding"] + more


def test_averages_keep_codes_and_refuse_others(tmp_path):
    def change_a_code(checkpoint):
        checkpoint["model"]["encoder.embed_tokens.filters.codes"][5, 0] ^= 1

    flags = {"arch": "transformer_alone", "alone_codes": "corpus"}
    paths = [write_checkpoint(tmp_path / f"{seed}.pt", seed=seed, **flags) for seed in (1, 2)]
    average(paths, str(tmp_path / "average.pt"))
    name = "encoder.embed_tokens.filters.codes"
    first, averaged = (load_checkpoint(path)["model"][name] for path in (paths[0], tmp_path / "average.pt"))
    assert averaged.dtype == torch.uint8
    assert torch.equal(averaged, first)
    paths[1] = write_checkpoint(tmp_path / "other.pt", change=change_a_code, **flags)
    with pytest.raises(UserError, match=f"{name} differs between"):
        average(paths, str(tmp_path / "average.pt"))
    paths[1] = write_checkpoint(tmp_path / "random.pt", arch="transformer_alone")
    with pytest.raises(UserError, match="--alone-codes is corpus in .* and random in"):
        average(paths, str(tmp_path / "average.pt"))


@pytest.mark.slow
def test_training_resumes_reports_and_refuses_other_codes(data, tmp_path):
    flags = ["--share-all-embeddings", "--alone-codes", "corpus"]
    train(data, tmp_path, *flags, "--max-update", 2)
    first = load_checkpoint(tmp_path / "checkpoint_last.pt")["model"]
    codes = first["encoder.embed_tokens.filters.codes"]
    train(data, tmp_path, *flags, "--max-update", 4)
    last = load_checkpoint(tmp_path / "checkpoint_last.pt")["model"]
    assert torch.equal(last["encoder.embed_tokens.filters.codes"], codes)
    described = describe(str(tmp_path / "checkpoint_last.pt"))["settings"]
    assert (described["codes"], described["code_bytes"]) == ("learned or given", codes.numel())
    done = train(data, tmp_path, "--share-all-embeddings", "--max-update", 6, check=False)
    one_sentence(done, "--alone-codes")
