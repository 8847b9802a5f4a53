"""``export --to fairseq`` with the real commands: stock fairseq without this package prints what it prints with it."""

import re
import subprocess
import sys

import pytest
import torch
from conftest import SMALL_MODEL, fairseq
from fairseq.data import Dictionary
from fairseq_commands import DECODING, SMALL_TRAINING, python, stock_fairseq
from toy_checkpoints import write_checkpoint

from fairseq_alone.cli import main

pytestmark = pytest.mark.slow

PLUGIN = ("--user-dir", "fairseq_alone")
SHORT = (*DECODING, "--max-len-b", 8)
MODELS = {
    "binary": {"arch": "transformer_alone", "tying": "two-way"},
    "real": {"arch": "transformer_alone", "alone_filter": "real", "encoder_normalize_before": True},
    "rows": {"arch": "transformer_alone", "tying": "none", "alone_free_rows": "20,10x4"},
    "factorized": {"arch": "transformer_factorized", "decoder_normalize_before": True},
    "conventional": {"arch": "transformer_conventional", "tying": "none"},
    "codes": {"arch": "transformer_codes", "tying": "two-way", "codes_num_codebooks": 2, "codes_codebook_size": 8},
}


def export(checkpoint, output, data, *flags):
    assert main(["export", str(checkpoint), str(output), "--to", "fairseq", "--data", str(data), *flags]) == 0
    return output


def results(done):
    """The lines of the test set, or what the log says of the whole of it."""
    lines = [line for line in done.stdout.splitlines() if re.match(r"[STHDP]-\d+\t", line)]
    lines += re.findall(r"(?:valid \| |Loss \(base 2\)).*", done.stdout + done.stderr)
    assert lines, done.stdout + done.stderr
    return lines


def untrained(checkpoint):
    """Let the network prefer some words, and say what it was trained for."""
    checkpoint["model"] = {
        name: tensor * 3 if tensor.dim() > 1 and tensor.is_floating_point() else tensor
        for name, tensor in checkpoint["model"].items()
    }
    checkpoint["cfg"]["task"].update(source_lang="en", target_lang="de")


@pytest.mark.parametrize("name", MODELS)
def test_generate_prints_the_same(name, data, tmp_path):
    words = len(Dictionary.load(str(data / "dict.en.txt")))
    checkpoint = write_checkpoint(tmp_path / "own.pt", change=untrained, vocabulary=words, **MODELS[name])
    exported = export(checkpoint, tmp_path / "out", data, "--no-verify")
    own = fairseq("generate", data, *PLUGIN, "--path", checkpoint, *SHORT)
    stock = stock_fairseq("generate", data, "--path", exported / "model.pt", *SHORT)
    assert results(stock) == results(own)
    # The scores depend on the sentences.
    assert len(set(re.findall(r"^H-\d+\t(\S+)", own.stdout, re.M))) > 20


@pytest.fixture(scope="module")
def exported(trained, data, tmp_path_factory):
    return export(trained / "checkpoint_last.pt", tmp_path_factory.mktemp("exported") / "out", data)


def test_the_folder(exported, data):
    assert sorted(path.name for path in exported.iterdir()) == ["README.md", "dict.de.txt", "dict.en.txt", "model.pt"]
    assert (exported / "dict.de.txt").read_bytes() == (data / "dict.de.txt").read_bytes()
    # In a process where no type is allowed but containers and tensors.
    code = "import sys, torch; print(torch.load(sys.argv[1], weights_only=True)['cfg']['model']['arch'])"
    command = [sys.executable, "-c", code, str(exported / "model.pt")]
    assert subprocess.run(command, capture_output=True, text=True, cwd="/").stdout == "transformer\n"
    state = torch.load(exported / "model.pt", weights_only=True)
    tables = [state["model"][f"{side}.embed_tokens.weight"].data_ptr() for side in ("encoder", "decoder")]
    assert len(set(tables)) == 1
    # Neither flags of this package nor folders of the training.
    assert not re.search("alone|pytest", str(state["cfg"]))


def test_validate_and_interactive_print_the_same(exported, trained, data, corpus):
    checkpoint = trained / "checkpoint_last.pt"
    flags = ("--task", "translation", "--cpu", "--num-workers", 0, "--required-batch-size-multiple", 1)
    flags += ("--max-tokens", 400, "--log-format", "simple")
    own = fairseq("validate", data, *PLUGIN, "--path", checkpoint, *flags)
    assert results(stock_fairseq("validate", data, "--path", exported / "model.pt", *flags)) == results(own)
    text = (corpus / "test.en").read_text()
    flags = ("-s", "en", "-t", "de", "--cpu", "--beam", 3, "--buffer-size", 8, "--batch-size", 8, "--max-len-b", 8)
    own = fairseq("interactive", data, *PLUGIN, "--path", checkpoint, *flags, standard_input=text)
    stock = stock_fairseq("interactive", exported, "--path", exported / "model.pt", *flags, standard_input=text)
    # The seconds of each batch are no result.
    without_times = [[line for line in results(done) if "seconds" not in line] for done in (stock, own)]
    assert without_times[0] == without_times[1]


def test_the_commands_of_the_readme_run(exported, data):
    text = (exported / "README.md").read_text()
    for tool in ("generate", "validate"):
        (command,) = re.findall(rf"^    fairseq-{tool} (.*)$", text, re.M)
        arguments = command.replace("DATA_BIN", str(data)).replace("model.pt", str(exported / "model.pt")).split()
        assert results(stock_fairseq(tool, *arguments, "--cpu", "--num-workers", 0))
    assert "is of tokens or subwords; the number to compare is the BLEU of detokenised text" in text


def test_another_training_begins_with_it(exported, data, tmp_path):
    flags = ("--arch", "transformer", "--share-all-embeddings", *SMALL_MODEL, *SMALL_TRAINING, "--max-update", 1)
    path = exported / "model.pt"
    stock_fairseq("train", data, *flags, "--save-dir", tmp_path, "--finetune-from-model", path, "--lr", 0)
    tuned = torch.load(tmp_path / "checkpoint_last.pt", weights_only=False)["model"]
    given = torch.load(path, weights_only=True)["model"]
    assert all(torch.equal(tuned[name], tensor) for name, tensor in given.items())


FROM_PRETRAINED = """
import sys
from fairseq.models.transformer import TransformerModel
model = TransformerModel.from_pretrained(sys.argv[1], "model.pt")
print(model.translate(sys.argv[2], beam=4, max_len_b=8))
assert "fairseq_alone" not in sys.modules
"""


def test_from_pretrained_takes_raw_text(trained, data, tmp_path):
    """The checkpoint says that there are subwords, and how they are joined."""
    codes = tmp_path / "codes"
    # Splits each word into characters but for "w1", all of which the dictionary has.
    codes.write_text("#version: 0.2\nw 1</w>\nw 2</w>\n")
    exported = export(trained / "checkpoint_last.pt", tmp_path / "out", data, "--bpe-codes", str(codes), "--no-verify")
    assert (exported / "bpecodes").read_bytes() == codes.read_bytes()
    done = python(FROM_PRETRAINED, exported, "w1 w2 w1", fairseq_imported=True)
    flags = ("-s", "en", "-t", "de", "--path", exported / "model.pt", "--cpu", "--beam", 4, "--max-len-b", 8)
    flags += ("--bpe", "subword_nmt", "--bpe-codes", exported / "bpecodes")
    stock = stock_fairseq("interactive", exported, *flags, standard_input="w1 w2 w1\n")
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^S-0\t(.*)", stock.stdout, re.M) == ["w1 w2 w1"]
    assert re.findall(r"^D-0\t\S+\t(.*)", stock.stdout, re.M) == [done.stdout.splitlines()[-1]]


@pytest.mark.parametrize(
    ("arch", "flags"),
    [
        ("transformer_lm_alone", ["--decoder-ffn-embed-dim", 16, "--decoder-attention-heads", 2]),
        ("lstm_lm_factorized", ["--factorized-dim", 4]),
    ],
)
def test_eval_lm_prints_the_same(arch, flags, english, tmp_path):
    size = ["--decoder-embed-dim", 16, "--decoder-layers", 1, *flags]
    size += ["--alone-inter-dim", 32] if "alone" in arch else []
    fairseq(
        *("train", english, *PLUGIN, "--task", "language_modeling", "--arch", arch, "--tie-embeddings", "all", *size),
        *(*SMALL_TRAINING[:4], "--criterion", "cross_entropy", "--max-tokens", 400, "--cpu", "--num-workers", 0),
        *("--tokens-per-sample", 12, "--save-dir", tmp_path, "--max-update", 3, "--no-epoch-checkpoints"),
    )
    checkpoint = tmp_path / "checkpoint_last.pt"
    exported = export(checkpoint, tmp_path / "out", english)
    flags = ("--tokens-per-sample", 12, "--required-batch-size-multiple", 1, "--cpu", "--num-workers", 0)
    own = fairseq("eval_lm", english, *PLUGIN, "--path", checkpoint, *flags)
    assert results(stock_fairseq("eval_lm", english, "--path", exported / "model.pt", *flags)) == results(own)
    assert "fairseq-eval-lm DATA_BIN" in (exported / "README.md").read_text()
