"""``--output-layer`` in every network: what is built, stored, loaded, exported, and what contradicts it."""

import argparse
import copy

import numpy as np
import pytest
import torch
from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY
from fairseq.models.ema.ema import EMA
from omegaconf import OmegaConf
from small_models import KINDS, SIZES, Task, dictionary, parse, small
from toy_checkpoints import write_checkpoint
from toy_trained import toy_trained

from fairseq_alone.cli.report import describe
from fairseq_alone.errors import UserError
from fairseq_alone.export import compact_export
from fairseq_alone.export.stock import build_stock
from fairseq_alone.export.targets import ExportOptions
from fairseq_alone.inference.compact_source import read_compact
from fairseq_alone.models.starting import start_embeddings
from fairseq_alone.models.word_trees import NodeDictionary, word_counts
from fairseq_alone.modules import DifferentiatedEmbedding, HierarchicalSoftmax, TiedProjection

UNTIED, HIERARCHICAL = "--tie-embeddings=none", "--output-layer=hierarchical"
SOURCE, LENGTHS = torch.tensor([[5, 6, 7, 2], [8, 9, 2, 1]]), torch.tensor([4, 3])
TARGET = torch.tensor([[2, 5, 6], [2, 7, 8]])
NETWORKS = ("transformer_{}", "transformer_lm_{}", "lstm_lm_{}")


def counted(size=50):
    words = dictionary(size)
    words.count[4:] = [1000 // rank for rank in range(1, size - 3)]
    return words


def build(arch, *flags, task=None):
    if task is None:
        task = Task()
        task.source_dictionary = task.target_dictionary = counted()
    torch.manual_seed(1)
    return ARCH_MODEL_REGISTRY[arch].build_model(parsed(arch, *flags), task)


def parsed(arch, *flags):
    if "_lm_" not in arch:
        return small(arch, *flags)
    network, kind = arch.split("_lm_")
    sizes = ["--decoder-embed-dim=8", "--decoder-layers=1", *SIZES.get(kind, ())]
    own = {"lstm": ["--decoder-hidden-size=8"], "transformer": ["--decoder-attention-heads=2"]}
    return parse(arch, *sizes, *own[network], "--dropout=0", *flags)


def logits(model):
    with torch.no_grad():
        return (model(SOURCE, LENGTHS, TARGET) if hasattr(model, "encoder") else model(TARGET))[0]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "char_cnn"])  # nodes have no spelling
@pytest.mark.parametrize("network", NETWORKS)
def test_a_tree_over_nodes_of_every_family(kind, network):
    arch = network.format(kind)
    model = build(arch, UNTIED, HIERARCHICAL).eval()
    layer = model.decoder.output_projection
    assert isinstance(layer, HierarchicalSoftmax)
    assert layer.embedding is model.decoder.output_embedding
    assert layer.embedding.num_embeddings == 49
    assert type(layer.embedding) is type(model.decoder.embed_tokens)
    assert layer.embedding.padding_idx is None
    scores = logits(model)
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(scores.shape[:-1]), rtol=0, atol=1e-5)
    torch.testing.assert_close(model.get_normalized_probs((scores,), log_probs=True), scores, rtol=1e-5, atol=1e-5)
    saved = copy.deepcopy(model.state_dict())
    assert saved["decoder.output_projection.tree"].dtype == torch.int32
    other = build(arch, UNTIED, HIERARCHICAL, "--hierarchical-tree=balanced").eval()
    other.load_state_dict(saved)
    assert torch.equal(logits(other), scores)


def test_the_most_frequent_words_have_the_shortest_paths_whatever_their_order():
    words = counted()
    words.count[4:] = words.count[:3:-1]
    task = argparse.Namespace(source_dictionary=words, target_dictionary=words)
    layer = build("lstm_lm_factorized", HIERARCHICAL, task=task).decoder.output_projection
    lengths = (layer._starts[1:] - layer._starts[:-1]).tolist()
    assert lengths[49] == min(lengths) < lengths[4]
    # The end of a sentence is as frequent as the most frequent word; padding is never predicted.
    assert lengths[words.eos()] <= lengths[48]
    assert lengths[words.pad()] == max(lengths)


def test_counts_of_words():
    words = counted(8)
    assert word_counts(words).tolist() == [0, 0, 1000, 1, 1000, 500, 333, 250]


@pytest.mark.parametrize("counts", [1, 0])
def test_a_dictionary_without_counts_gives_no_huffman_tree(counts, tmp_path):
    words = dictionary(50)
    words.count[4:] = [counts] * 46
    words.save(str(tmp_path / "dict.txt"))
    task = argparse.Namespace(source_dictionary=words, target_dictionary=words)
    args = parsed("lstm_lm_factorized", HIERARCHICAL)
    args.data = str(tmp_path)
    model = ARCH_MODEL_REGISTRY["lstm_lm_factorized"].build_model(args, task)
    with pytest.raises(UserError, match=f"huffman needs .* {tmp_path}/dict.txt has the count {counts} for every word"):
        model(TARGET)
    # A checkpoint has its tree.
    trained = build("lstm_lm_factorized", HIERARCHICAL)
    model.load_state_dict(trained.state_dict())
    assert torch.equal(logits(model.eval()), logits(trained.eval()))
    assert build("lstm_lm_factorized", HIERARCHICAL, "--hierarchical-tree=balanced", task=task)(TARGET)


def two_clusters(words):
    vectors = np.random.default_rng(1).standard_normal((50, 8)).astype(np.float32) * 0.1
    vectors[:, 0] = np.where(np.arange(50) % 2, 5, -5)
    return dict(zip(words.symbols, vectors, strict=True))


def write_vectors(path, vectors):
    if path.suffix == ".bin":
        body = [f"{word} ".encode() + vector.astype("<f4").tobytes() + b"\n" for word, vector in vectors.items()]
        path.write_bytes(b"%d 8\n" % len(vectors) + b"".join(body))
    else:
        lines = [" ".join([word, *map(str, vector.tolist())]) + "\n" for word, vector in vectors.items()]
        path.write_text("".join(lines))


@pytest.mark.parametrize("form", ["txt", "bin", "pt"])
def test_clusters_of_vectors_from_a_file_or_a_checkpoint(form, tmp_path):
    path = tmp_path / f"vectors.{form}"
    vectors = two_clusters(counted())
    if form == "pt":

        def give_vectors(checkpoint):
            table = checkpoint["model"]["decoder.embed_tokens.weight"]
            table.copy_(torch.from_numpy(np.stack(list(vectors.values()))))

        write_checkpoint(path, arch="transformer", tying="none", vocabulary=50, change=give_vectors)
    else:
        write_vectors(path, vectors)
    flags = (HIERARCHICAL, "--hierarchical-tree=clusters", f"--hierarchical-vectors={path}")
    layer = build("lstm_lm_factorized", *flags).decoder.output_projection
    sides = layer._signs[layer._starts[:-1]]
    assert len({int(sides[word]) for word in range(50) if word % 2}) == 1
    assert sides[0] != sides[1]


@pytest.mark.parametrize("kind", ["alone", "factorized", "conventional"])
def test_a_computed_embedding_of_a_checkpoint(kind, tmp_path):
    arch = {"conventional": "transformer"}.get(kind, f"transformer_{kind}")
    write_checkpoint(tmp_path / "1.pt", arch=arch, tying="three-way", vocabulary=50)
    flags = (HIERARCHICAL, "--hierarchical-tree=clusters", f"--hierarchical-vectors={tmp_path}/1.pt")
    layer = build("lstm_lm_factorized", *flags).decoder.output_projection
    assert layer.num_words == 50
    write_checkpoint(tmp_path / "1.pt", arch=arch, vocabulary=20)
    with pytest.raises(UserError, match=r"1.pt: has vectors of 20 words, but this vocabulary has 50"):
        build("lstm_lm_factorized", *flags)


@pytest.mark.parametrize("given", [[], ["--hierarchical-vectors=nowhere.txt"]])
def test_clusters_without_vectors_are_awaited(given):
    model = build("lstm_lm_factorized", HIERARCHICAL, "--hierarchical-tree=clusters", *given)
    with pytest.raises(UserError, match=r"needs --hierarchical-vectors FILE|nowhere.txt: there is no such file"):
        model(TARGET)


@pytest.mark.parametrize("content", [b"no header", b"3 8\nw1 abc", b"2 1\nx \0\0\0\0y \0\0\0\0"])
def test_a_bad_binary_file_is_refused(content, tmp_path):
    path = tmp_path / "vectors.bin"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"vectors.bin: (is no binary|ends within word 1|holds no vector)"):
        build("lstm_lm_factorized", HIERARCHICAL, "--hierarchical-tree=clusters", f"--hierarchical-vectors={path}")


BLOCKS = "--differentiated-blocks=10x4,20x3,restx1"


@pytest.mark.parametrize("network", NETWORKS)
def test_another_family_as_output(network):
    arch = network.format("alone")
    flags = (UNTIED, "--output-layer=differentiated", BLOCKS, "--alone-inter-dim=12")
    model = build(arch, *flags).eval()
    assert type(model.decoder.output_projection) is TiedProjection
    assert isinstance(model.decoder.output_embedding, DifferentiatedEmbedding)
    assert [name for name in model.state_dict() if "output" in name] == [
        f"decoder.output_embedding.blocks.{number}" for number in range(3)
    ]
    stock = build_stock(toy_trained(arch, *flags, vocabulary=50))[0]
    assert stock.decoder.output_layer(torch.zeros(1, 1, 8)).shape == (1, 1, 50)


def test_a_family_over_itself_is_the_softmax():
    same = [
        build("transformer_differentiated", "--tie-embeddings=all", *layer).eval()
        for layer in ([], ["--output-layer=softmax"], ["--output-layer=differentiated"])
    ]
    assert all(torch.equal(logits(model), logits(same[0])) for model in same)
    assert not hasattr(same[0].decoder, "output_embedding")


@pytest.mark.parametrize("layer", [HIERARCHICAL, "--output-layer=differentiated"])
def test_a_start_gives_the_output_only_what_it_has_words_for(layer, tmp_path):
    write_vectors(tmp_path / "v.txt", two_clusters(counted()))
    model = build("lstm_lm_factorized", layer)
    before = copy.deepcopy(model.decoder.output_embedding.state_dict())
    args = argparse.Namespace(embedding_init=str(tmp_path / "v.txt"), output_layer=layer.split("=")[1])
    start_embeddings(model, args, Task())
    after = model.decoder.output_embedding.state_dict()
    same = [torch.equal(value, after[name]) for name, value in before.items()]
    assert same == [layer == HIERARCHICAL] * len(same)
    assert model.decoder.embed_tokens.matrix()[5, 0].abs() > 0.1


FLAGS = {
    "hierarchical": (UNTIED, HIERARCHICAL, "--hierarchical-tree=balanced"),
    "differentiated": (UNTIED, "--output-layer=differentiated", "--differentiated-share=0.3"),
}


@pytest.mark.parametrize("layer", FLAGS)
@pytest.mark.parametrize("arch", ["transformer_alone", "lstm_lm_conventional", "transformer_lm_factorized"])
def test_a_compact_file_holds_it(layer, arch, tmp_path):
    trained = toy_trained(arch, *FLAGS[layer], vocabulary=50)
    path = tmp_path / "model.safetensors"
    compact_export.write(trained, path, ExportOptions("fp32"))
    assert torch.equal(logits(read_compact(str(path)).model), logits(trained.model))


def test_a_tree_is_in_no_other_format():
    trained = toy_trained("transformer_alone", *FLAGS["hierarchical"])
    with pytest.raises(UserError, match="--output-layer hierarchical has vectors of the nodes of a tree and none of w"):
        build_stock(trained)
    with pytest.raises(UserError, match="TorchScript does not work with --output-layer hierarchical"):
        torch.jit.script(trained.model)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [("hierarchical", "hierarchical, balanced"), ("differentiated", "differentiated, 12x5,24x2,14x1")],
)
def test_the_report_says_what_it_is(layer, expected, tmp_path):
    trained = toy_trained("transformer_alone", *FLAGS[layer], vocabulary=50)
    path = str(tmp_path / "1.pt")
    model = argparse.Namespace(**trained.config["model"])
    torch.save({"cfg": {"model": model}, "model": trained.model.state_dict()}, path)
    told = describe(path)
    assert told["settings"]["output_layer"] == expected
    assert told["settings"]["embedding"] == "alone"
    assert told["settings"]["vocabulary"] == {"source": 50, "target": 50}
    assert told["settings"]["tree_bytes"] == (49 * 2 * 4 if layer == "hierarchical" else None)
    assert told["conventional_embedding_parameters"] == 3 * 50 * 8
    parameters = sum(parameter.numel() for parameter in trained.model.parameters())
    assert told["parameters"]["total"] == parameters
    embeddings = [trained.model.encoder.embed_tokens, trained.model.decoder.embed_tokens]
    embeddings.append(trained.model.decoder.output_embedding)
    values = sum(parameter.numel() for embedding in embeddings for parameter in embedding.parameters())
    filters = 3 * trained.model.encoder.embed_tokens.filters.filter_version.nbytes
    if layer == "hierarchical":
        assert told["product_bytes"]["stock"] is None
        assert told["product_bytes"]["trained"]["embedding"] == 4 * values + 49 * 2 * 4 + filters
    else:
        assert told["product_bytes"]["stock"]["embedding"] == 4 * 3 * 50 * 8


def test_a_moving_average_has_the_tree():
    model = build("lstm_lm_factorized", HIERARCHICAL)
    settings = {"ema_seed_model": None, "ema_start_update": 0, "ema_update_freq": 1}
    ema = EMA(model, argparse.Namespace(ema_decay=0.5, ema_fp32=False, **settings))
    ema.step(model, 1)
    assert torch.equal(logits(ema.get_model().eval()), logits(model.eval()))


@pytest.mark.parametrize(
    ("arch", "flags", "words"),
    [
        ("transformer_alone", ["--tie-embeddings=all", HIERARCHICAL], "hierarchical cannot be tied: the nodes of its"),
        ("transformer_alone", ["--share-decoder-input-output-embed", HIERARCHICAL], "hierarchical cannot be tied"),
        (
            "transformer_alone",
            ["--tie-embeddings=decoder", "--output-layer=differentiated"],
            "--output-layer differentiated cannot be tied: --arch transformer_differentiated has it as input and outp",
        ),
        ("lstm_lm_alone", ["--tie-embeddings=all", "--output-layer=differentiated"], "--arch lstm_lm_differentiated h"),
        (
            "transformer_alone",
            [HIERARCHICAL, "--output-projection-regularization=0.1", "--criterion=cross_entropy_with_augmented_loss"],
            "--output-projection-regularization does not work with --output-layer hierarchical",
        ),
        (
            "transformer_alone",
            [HIERARCHICAL, "--criterion=label_smoothed_cross_entropy_with_augmented_loss"],
            "--criterion label_smoothed_cross_entropy_with_augmented_loss does not work with --output-layer hier",
        ),
        ("transformer_alone", [HIERARCHICAL, "--alone-codes=corpus"], "--alone-codes corpus does not work with --outp"),
        (
            "transformer_alone",
            [HIERARCHICAL, "--alone-codes=FILE"],
            "does not work with an embedding that is made of w",
        ),
        (
            "transformer_alone",
            ["--hierarchical-tree=balanced"],
            "--hierarchical-tree needs --output-layer hierarchical",
        ),
        ("transformer_alone", [HIERARCHICAL, "--hierarchical-vectors=x"], "needs --hierarchical-tree clusters"),
        ("transformer_alone", [BLOCKS], "--differentiated-blocks needs --output-layer differentiated, or an --arch of"),
    ],
)
def test_what_contradicts_it_is_refused(arch, flags, words, tmp_path):
    codes = tmp_path / "codes"
    codes.write_text(" ".join(["w1", *["1"] * 8]) + "\n")
    flags = [flag.replace("FILE", str(codes)) for flag in flags]
    with pytest.raises(UserError, match=words):
        build(arch, *flags)


def test_nodes_are_not_words():
    nodes = NodeDictionary([3, 2])
    assert (len(nodes), nodes.pad()) == (2, None)
    for ask in (lambda: nodes.symbols, lambda: nodes.indices, lambda: nodes[0]):
        with pytest.raises(UserError, match="the nodes of its tree are not words"):
            ask()


def from_configuration(**settings):
    """A model as fairseq-hydra-train builds it."""
    sizes = {"decoder_embed_dim": 8, "decoder_hidden_size": 8, "decoder_layers": 1, "factorized_dim": 3}
    config = {"_name": "lstm_lm_factorized", **sizes, **settings}
    filled = argparse.Namespace(**config)
    ARCH_CONFIG_REGISTRY["lstm_lm_factorized"](filled)
    task = Task()
    task.source_dictionary = task.target_dictionary = counted()
    return ARCH_MODEL_REGISTRY["lstm_lm_factorized"].build_model(OmegaConf.create(vars(filled)), task)


def test_a_configuration_file_gives_the_same():
    model = from_configuration(output_layer="hierarchical", hierarchical_tree="balanced")
    assert isinstance(model.decoder.output_projection, HierarchicalSoftmax)
    model = from_configuration(output_layer="differentiated", differentiated_blocks="10x4,rest x4")
    assert model.decoder.output_embedding.block_sizes == [[10, 4], [40, 4]]
    with pytest.raises(UserError, match="--output-layer must be one of softmax, hierarchical, differentiated.*'tree'"):
        from_configuration(output_layer="tree")
    with pytest.raises(UserError, match="hierarchical_tree.* must be one of huffman, balanced, clusters, got 'oak'"):
        from_configuration(output_layer="hierarchical", hierarchical_tree="oak")


def test_characters_as_output_take_their_size_from_a_share():
    task = Task()
    task.source_dictionary = task.target_dictionary = counted(1200)
    flags = ("--output-layer=char_cnn", "--char-cnn-share=0.5")
    model = build("lstm_lm_conventional", UNTIED, *flags, task=task)
    values = sum(value.numel() for value in model.decoder.output_embedding.parameters())
    assert 0.8 * 0.5 * 1200 * 8 <= values <= 0.5 * 1200 * 8
