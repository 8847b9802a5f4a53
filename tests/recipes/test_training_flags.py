"""The arithmetic of the batch and the flags of fairseq-train, for translation and headlines."""

import pytest
from train_recipe import TrainRecipe, value

from fairseq_alone.recipes.fairseq_command import user_dir


@pytest.fixture
def recipe(tmp_path, monkeypatch, capsys):
    return TrainRecipe(tmp_path, monkeypatch, capsys)


def batch(command):
    return int(value(command, "--max-tokens")), int(value(command, "--update-freq"))


# ------------------------------------------------------------------------------------------------- the arithmetic


@pytest.mark.parametrize(
    ("preset", "workers", "tokens", "update_freq", "sentence"),
    [
        ("wmt16", 1, 3584, 128, "458,752 tokens = 1 worker x 3,584 tokens x update-freq 128"),
        ("wmt16", 4, 3584, 32, "458,752 tokens = 4 workers x 3,584 tokens x update-freq 32"),
        ("wmt16", 8, 3584, 16, "458,752 tokens = 8 workers x 3,584 tokens x update-freq 16"),
        ("wmt16", 3, 3556, 43, "458,724 tokens = 3 workers x 3,556 tokens x update-freq 43"),
        ("small", 1, 2048, 1, "2,048 tokens = 1 worker x 2,048 tokens x update-freq 1"),
        ("small", 2, 1024, 1, "2,048 tokens = 2 workers x 1,024 tokens x update-freq 1"),
    ],
)
def test_effective_batch_stays_the_same(recipe, preset, workers, tokens, update_freq, sentence):
    recipe.prepare(preset)
    text, [command] = recipe.dry_run(gpus=workers)
    assert batch(command) == (tokens, update_freq)
    assert f"effective batch {sentence} (GPU, this machine)" in text
    assert ("rounded" in text) == (workers == 3)


def test_less_memory_means_more_micro_batches(recipe):
    recipe.prepare("wmt16")
    _, [command] = recipe.dry_run(gpus=4, max_tokens=1792)
    assert batch(command) == (1792, 64)
    _, [command] = recipe.dry_run(gpus=1, max_tokens=2000, effective_tokens=8000)
    assert batch(command) == (2000, 4)


def test_too_many_workers_are_refused(recipe):
    assert "16 workers would get 128 tokens each" in recipe.refused(dry_run=True, gpus=16)
    sizes = {"effective_tokens": 3, "max_tokens": 2}
    assert "4 workers cannot share the 3 tokens" in recipe.refused(dry_run=True, gpus=4, **sizes)


# ------------------------------------------------------------------------------------------------- the command line


def test_wmt16_is_the_papers_table_2(recipe):
    recipe.prepare("wmt16")
    _, [command] = recipe.dry_run(gpus=4, embedding="alone_real")
    expected = {
        "--arch": "transformer_alone_wmt_en_de",
        "--alone-filter": "real",
        "--alone-inter-dim": "8192",
        "--alone-init": "published",
        "--lr": "0.0015",
        "--lr-scheduler": "inverse_sqrt",
        "--warmup-updates": "4000",
        "--adam-betas": "(0.9, 0.98)",
        "--dropout": "0.2",
        "--label-smoothing": "0.1",
        "--max-update": "100000",
        "--keep-last-epochs": "10",
        "--required-batch-size-multiple": "1",
        "--user-dir": user_dir(),
        "--seed": "1",
        "--tie-embeddings": "all",
        "--criterion": "label_smoothed_cross_entropy",
    }
    assert {flag: value(command, flag) for flag in expected} == expected
    assert "--fp16" in command
    assert "--cpu" not in command


@pytest.mark.parametrize("preset", ["wmt16", "small", "demo"])
def test_embeddings_differ_in_their_own_flags_only(recipe, preset):
    recipe.prepare(preset)
    sizes = {
        "conventional": {},
        "factorized": {"factorized_dim": 7},
        "alone_binary": {"inter_dim": 99},
        "alone_real": {"inter_dim": 99},
        "alone_share": {"share": 0.25},
        "codes": {"share": 0.25},
        "tensor_product": {"share": 0.25},
        "differentiated": {"share": 0.25},
        "char_cnn": {"share": 0.25},
    }
    commands = {name: recipe.dry_run(embedding=name, start="random", **size)[1][0] for name, size in sizes.items()}
    suffix = "_wmt_en_de" if preset == "wmt16" else ""
    own = {
        "conventional": ["--arch", f"transformer_conventional{suffix}"],
        "factorized": ["--arch", f"transformer_factorized{suffix}", "--factorized-dim", "7"],
        "alone_share": ["--arch", f"transformer_alone{suffix}", "--alone-share", "0.25"],
        "codes": ["--arch", f"transformer_codes{suffix}", "--codes-share", "0.25"],
        "tensor_product": ["--arch", f"transformer_tensor_product{suffix}", "--tensor-share", "0.25"],
        "differentiated": ["--arch", f"transformer_differentiated{suffix}", "--differentiated-share", "0.25"],
        "char_cnn": ["--arch", f"transformer_char_cnn{suffix}", "--char-cnn-share", "0.25"],
    }
    for kind, dropout in (("binary", "0.15"), ("real", "0.2")):
        own[f"alone_{kind}"] = ["--arch", f"transformer_alone{suffix}", "--alone-filter", kind]
        own[f"alone_{kind}"] += ["--alone-inter-dim", "99"]
        if preset == "wmt16":  # as in the authors' commands
            own[f"alone_{kind}"] += ["--alone-dropout", dropout, "--alone-dropout-until", "4500"]
            own[f"alone_{kind}"] += ["--alone-init", "published"]
    common = set()
    for embedding, command in commands.items():
        for word in own[embedding]:
            # The last one: another flag may have the same value.
            del command[len(command) - 1 - command[::-1].index(word)]
        common.add(tuple(sorted(command)))
    assert len(common) == 1


def test_characters_without_a_share_have_the_sizes_of_their_architecture(recipe):
    _, [command] = recipe.dry_run(embedding="char_cnn")
    assert value(command, "--arch").startswith("transformer_char_cnn")
    assert not any(word.startswith("--char-cnn") for word in command)


@pytest.mark.parametrize("tie", ["all", "decoder", "none"])
def test_tying_is_one_flag(recipe, tie):
    _, [command] = recipe.dry_run(tie=tie)
    assert value(command, "--tie-embeddings") == tie


def test_augmented_loss_changes_the_criterion_only(recipe):
    _, [without] = recipe.dry_run(augmented_loss="0.0")
    _, [command] = recipe.dry_run("--augmented-loss-temperature", "2", augmented_loss="0.5")
    plain = value(without, "--criterion")
    assert value(command, "--criterion") == f"{plain}_with_augmented_loss"
    assert value(command, "--augmented-loss-weight") == "0.5"
    assert value(command, "--augmented-loss-temperature") == "2"
    assert len(command) == len(without) + 4


def test_tiny_shape_is_written_out(recipe):
    _, [command] = recipe.dry_run(embedding="conventional")
    for side in ("encoder", "decoder"):
        shape = {"layers": "4", "embed-dim": "128", "ffn-embed-dim": "256", "attention-heads": "4"}
        assert {name: value(command, f"--{side}-{name}") for name in shape} == shape


def test_factorized_embedding_is_as_large_as_alone(recipe):
    text, [command] = recipe.dry_run(embedding="factorized", inter_dim=512)
    # 996 words and fairseq's 4 special symbols: d x (1000 + 128) next to 128 + 512 x 256 = 131,200
    assert value(command, "--factorized-dim") == "116"
    assert f"{116 * 1128:,} parameters (ALONE with D_inter 512: 131,200)" in text


def test_bits_are_a_setting_of_the_run(recipe):
    _, [command] = recipe.dry_run(bits="4")
    assert value(command, "--embedding-bits") == "4"
    _, [command] = recipe.dry_run(bits="32")
    assert "--embedding-bits" not in command
    assert recipe.run().status == 0
    assert "bits" not in (recipe.path / "done").read_text()
    assert "now: bits=8" in recipe.refused(bits="8")


def test_the_start_is_a_setting_of_the_run(recipe, tmp_path):
    files = [tmp_path / "ours.txt", tmp_path / "theirs.txt"]
    for file in files:
        file.write_text("1 2\nword 0 1\n")
    assert recipe.run(start=str(files[0])).status == 0
    assert "\nstart=ours.txt 616905459 13\n" in (recipe.path / "done").read_text()
    there = "there: start=ours.txt 616905459 13"
    assert f"({there}; now: start=theirs.txt 616905459 13)" in recipe.refused(start=str(files[1]))
    assert f"({there}; now: start=random)" in recipe.refused(start="random")
    assert recipe.run(name="other", start="random").status == 0
    assert "start" not in (recipe.path.parent / "other/done").read_text()
    # A run of before the corpus was the default is not taken for one that began with it.
    assert "(there: start=random; now: start=corpus)" in recipe.refused(name="other")


@pytest.mark.parametrize(
    ("embedding", "start"),
    [
        ("conventional", "corpus"),
        ("factorized", "corpus"),
        ("codes", "corpus"),
        ("tensor_product", "corpus"),
        ("alone_real", None),
        ("alone_binary", None),
        ("char_cnn", None),
        ("differentiated", None),
    ],
)
def test_what_learns_like_a_table_begins_with_the_corpus(recipe, embedding, start):
    _, [command] = recipe.dry_run(embedding=embedding)
    assert ("--embedding-init" in command) == (start is not None)
    assert start is None or value(command, "--embedding-init") == start


def test_without_a_kind_it_is_a_table_or_the_share_of_one(recipe):
    _, [command] = recipe.dry_run()
    assert value(command, "--arch") == "transformer_conventional"
    assert value(command, "--embedding-init") == "corpus"
    _, [command] = recipe.dry_run(share="0.25")
    assert (value(command, "--arch"), value(command, "--alone-share")) == ("transformer_alone", "0.25")


def test_sizes_of_another_embedding_are_noted(recipe):
    text, _ = recipe.dry_run(embedding="conventional", inter_dim=5, share=0.5, factorized_dim=3)
    for flag in ("--inter-dim", "--share", "--factorized-dim"):
        assert f"note: {flag} has no effect with --embedding conventional" in text


def test_max_update_alone_lifts_the_limit_on_epochs(recipe):
    _, [command] = recipe.dry_run()
    assert (value(command, "--max-epoch"), value(command, "--max-update")) == ("15", "0")
    _, [command] = recipe.dry_run(max_update=500)
    assert (value(command, "--max-epoch"), value(command, "--max-update")) == ("0", "500")


def test_extra_flags_come_last_and_keep_their_spaces(recipe):
    _, [command] = recipe.dry_run("--dropout", "0.3", "--alone-seed=5", "a b")
    assert command[-4:] == ["--dropout", "0.3", "--alone-seed=5", "a b"]


# ------------------------------------------------------------------------------------------------- headlines


@pytest.fixture
def headlines(recipe):
    recipe.prepare("small", "headlines")
    return recipe


def test_gigaword_is_the_papers_section_3_3(headlines):
    headlines.prepare("gigaword", "headlines")
    text, [command] = headlines.dry_run(gpus=4, embedding="alone_binary", inter_dim=1024)
    assert batch(command) == (3584, 16)
    expected = {
        "--task": "headline_generation",
        "--arch": "transformer_alone_duc",
        "--alone-inter-dim": "1024",
        "--alone-dropout": "0.1",
        "--alone-dropout-until": "300",
        "--alone-init": "published",
        "--length-encoding": "lrpe",
        "--lr": "0.001",
        "--dropout": "0.3",
        "--max-epoch": "100",
        "--required-batch-size-multiple": "1",
    }
    assert {flag: value(command, flag) for flag in expected} == expected
    assert "--length-with-absolute" in command
    assert "4 workers x 3,584 tokens x update-freq 16" in text


@pytest.mark.parametrize(
    ("embedding", "arch", "own"),
    [
        ("conventional", "transformer_length_duc", []),
        ("factorized", "transformer_factorized_duc", ["--factorized-dim"]),
        ("alone_binary", "transformer_alone_duc", ["--alone-filter", "--alone-dropout"]),
        ("alone_real", "transformer_alone_duc", ["--alone-filter", "--alone-dropout"]),
        ("alone_share", "transformer_alone_duc", ["--alone-share"]),
    ],
)
def test_headline_models_have_any_embedding(headlines, embedding, arch, own):
    _, [command] = headlines.dry_run(embedding=embedding)
    assert value(command, "--arch") == arch
    assert all(flag in command for flag in own)
    assert ("--alone-dropout" in command) == ("--alone-dropout" in own)
    assert any(word.startswith("--alone") for word in command) == embedding.startswith("alone")


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, ["--length-encoding", "ldpe"]),
        ({"absolute": True}, ["--length-encoding", "ldpe", "--length-with-absolute"]),
        ({"length": "lrpe"}, ["--length-encoding", "lrpe"]),
        ({"length": "none"}, ["--length-encoding", "none"]),
    ],
)
def test_length_and_absolute_choose_the_length_encoding(headlines, options, flags):
    _, [command] = headlines.dry_run(**options)
    start = command.index("--length-encoding")
    assert [word for word in command[start:] if word in flags] == flags
    assert sum(word.startswith("--length") for word in command) == len(flags) - 1


def test_headline_settings_tell_length_encodings_apart(headlines):
    assert headlines.run().status == 0
    assert "length=ldpe\nabsolute=0\n" in (headlines.path / "done").read_text()
    assert "there: length=ldpe; now: length=lrpe" in headlines.refused(length="lrpe")
    assert "there: absolute=0; now: absolute=1" in headlines.refused(absolute=True)


@pytest.mark.parametrize(
    ("flags", "options", "words"),
    [
        ([], {"length": "rpe"}, "--length must be lrpe, ldpe or none, got 'rpe'"),
        (["--length-encoding", "lrpe"], {}, "--length-encoding is worked out from --length;"),
        (["--length-with-absolute"], {}, "--length-with-absolute is worked out from --absolute;"),
        ([], {"preset": "gigaword"}, "was prepared with small"),
        ([], {"temperature": "3"}, "--temperature does not belong to the recipe headlines"),
    ],
)
def test_headline_refusals(headlines, flags, options, words):
    assert words in headlines.refused(*flags, **options)


def test_headline_recipe_knows_its_presets(headlines):
    headlines.prepare("wmt16", "headlines")
    assert "--preset must be one of gigaword, small in the recipe headlines, got 'wmt16'" in headlines.refused()


# ------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("flags", "options", "sentence"),
    [
        ([], {"preset": "wmt16"}, "--preset wmt16, but"),
        ([], {"embedding": "none"}, "--embedding must be conventional, factorized, alone_binary, alone_real, alone_sh"),
        ([], {"embedding": "alone_share", "share": "half"}, "--share must be a number like 0.5 and not negative, got"),
        ([], {"inter_dim": "0"}, "--inter-dim must be a positive whole number, got '0'"),
        ([], {"embedding": "factorized", "factorized_dim": "x"}, "--factorized-dim must be a positive whole number"),
        ([], {"workers": "two"}, "--workers must be a positive whole number"),
        ([], {"seed": "x"}, "--seed must be a whole number"),
        ([], {"max_epoch": "0"}, "the training would never end"),
        ([], {"name": "../x"}, "RUN may have"),
        ([], {"bits": "16"}, "--bits must be 32, 8 or 4, got '16'"),
        ([], {"tie": "some"}, "--tie must be all, decoder or none, got 'some'"),
        ([], {"augmented_loss": "half"}, "--augmented-loss must be a number like 0.5 and not negative"),
        ([], {"length": "ldpe"}, "--length does not belong to the recipe translation"),
        (["--share-all-embeddings"], {}, "--share-all-embeddings is worked out from --tie; give that before the --"),
        (["--criterion", "x"], {}, "--criterion is worked out from --augmented-loss"),
        (["--update-freq", "4"], {}, "--update-freq is worked out from --effective-tokens and --max-tokens"),
        (["--max-tokens=4"], {}, "--max-tokens is worked out from --effective-tokens and --max-tokens"),
        (["--seed", "4"], {}, "--seed is worked out from --seed; give that before the --"),
        (["--max-update", "4"], {}, "--max-update is worked out from --max-update"),
        (["--fp16"], {}, "--fp16 is worked out from --no-fp16"),
        (["--save-dir", "x"], {}, "--save-dir is fixed; the other commands rely on it"),
        (["--arch", "x"], {}, "--arch is worked out from --preset and --embedding"),
        (["--distributed-port", "1"], {}, "--distributed-port is worked out from --workers, or from torchrun or srun"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(recipe, flags, options, sentence):
    assert sentence in recipe.refused(*flags, **options)
    assert not (recipe.folder / "runs").exists()


def test_unprepared_folder_is_refused(recipe):
    (recipe.folder / "prepare.settings").unlink()
    assert "prepare.settings is missing; run fairseq-alone prepare first" in recipe.refused()
    recipe.prepare("small")
    (recipe.folder / "data-bin/dict.de.txt").unlink()
    assert "dict.de.txt is missing; run fairseq-alone prepare again" in recipe.refused()
