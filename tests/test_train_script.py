"""``train.sh`` of the recipes wmt_ende and duc2004, which share most of it: the arithmetic, the command line, and what
it does with processes and run folders.

A stand-in for Python answers instead of fairseq, so nothing is trained here.
"""

import os
import pathlib
import shlex
import signal
import subprocess
import time

import pytest

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"

# Answers the script's questions ($GPUS devices) and plays fairseq-train: it writes its arguments to a file for each
# rank, then does what $TRAINING says.
STAND_IN = r"""#!/usr/bin/env bash
set -u
case "$*" in
  *device_count*) echo "${GPUS:-0}" ;;
  *socket*) echo 29123 ;;
  *find_spec*) echo "${MISSING:-}" ;;
  "-m fairseq_cli.train "*)
    rank=$(sed -n 's/.*--distributed-rank \([0-9]*\).*/\1/p' <<<"$*")
    echo "$$" >"$CALLS/pid.${rank:-0}"
    printf '%s\n' "$@" >"$CALLS/rank.${rank:-0}"
    eval "${TRAINING:-echo trained}"
    ;;
  *) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


@pytest.fixture
def recipe(tmp_path):
    """A prepared folder and a function that runs the script in it."""
    work = tmp_path / "work dir"
    (work / "data-bin").mkdir(parents=True)
    (work / "data-bin" / "dict.de.txt").write_text("".join(f"word{i} 1\n" for i in range(996)))
    (tmp_path / "calls").mkdir()
    stand_in = tmp_path / "python"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)

    class Recipe:
        calls = tmp_path / "calls"
        folder = work
        script = EXAMPLES / "wmt_ende" / "train.sh"

        def prepare(self, preset):
            settings = f"PRESET={preset}\nSUBWORDS=subword-nmt\nSOURCE_LANG=en\nTARGET_LANG=de\n"
            (work / "prepare.settings").write_text(settings)

        def environment(self, variables):
            names = ("PATH", "HOME", "LANG")
            environment = {name: os.environ[name] for name in names if name in os.environ}
            environment |= {"PYTHON": str(stand_in), "CALLS": str(self.calls)}
            return environment | {name: str(value) for name, value in variables.items()}

        def run(self, *flags, name="run", **variables):
            return subprocess.run(
                ["bash", self.script, work, name, *flags],
                env=self.environment(variables),
                capture_output=True,
                text=True,
                cwd=tmp_path,
                timeout=60,
            )

        def dry_run(self, *flags, **variables):
            """The printed text before the commands, and the commands as lists of words."""
            result = self.run(*flags, DRY_RUN=1, **variables)
            assert result.returncode == 0, result.stderr
            assert not (work / "runs").exists()
            lines = result.stdout.splitlines()
            commands = [shlex.split(line.removeprefix("command: ")) for line in lines if line.startswith("command: ")]
            return "\n".join(line for line in lines if not line.startswith("command: ")), commands

        def refused(self, *flags, **variables):
            result = self.run(*flags, **variables)
            assert result.returncode == 1, result.stdout
            [line] = result.stderr.splitlines()
            assert line.startswith("train.sh: error: ")
            return line

    recipe = Recipe()
    recipe.prepare("small")
    return recipe


def value(command, flag):
    assert command.count(flag) == 1, f"{flag} in {command}"
    return command[command.index(flag) + 1]


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
    text, [command] = recipe.dry_run(GPUS=workers)
    assert batch(command) == (tokens, update_freq)
    assert f"effective batch {sentence} (GPU, this machine)" in text
    assert ("rounded" in text) == (workers == 3)


def test_less_memory_means_more_micro_batches(recipe):
    recipe.prepare("wmt16")
    _, [command] = recipe.dry_run(GPUS=4, MAX_TOKENS=1792)
    assert batch(command) == (1792, 64)
    text, [command] = recipe.dry_run(GPUS=1, MAX_TOKENS=2000, EFFECTIVE_TOKENS=8000)
    assert batch(command) == (2000, 4)


def test_too_many_workers_are_refused(recipe):
    assert "16 workers would get 128 tokens each" in recipe.refused(DRY_RUN=1, GPUS=16)


# ------------------------------------------------------------------------------------------------- the command line


def test_wmt16_is_the_papers_table_2(recipe):
    recipe.prepare("wmt16")
    _, [command] = recipe.dry_run(GPUS=4, EMBEDDING="alone_real")
    expected = {
        "--arch": "transformer_alone_wmt_en_de",
        "--alone-filter": "real",
        "--alone-inter-dim": "8192",
        "--alone-init": "published",
        "--alone-dropout": "0.2",
        "--alone-dropout-until": "4500",
        "--lr": "0.0015",
        "--lr-scheduler": "inverse_sqrt",
        "--warmup-updates": "4000",
        "--adam-betas": "(0.9, 0.98)",
        "--dropout": "0.2",
        "--label-smoothing": "0.1",
        "--max-update": "100000",
        "--keep-last-epochs": "10",
        "--required-batch-size-multiple": "1",
        "--user-dir": str(EXAMPLES.parent / "fairseq_alone"),
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
    commands = {}
    for embedding in ("conventional", "factorized", "alone_binary", "alone_real", "alone_share"):
        sizes = {"FACTORIZED_DIM": 7, "INTER_DIM": 99, "SHARE": 0.25}
        _, [commands[embedding]] = recipe.dry_run(EMBEDDING=embedding, **sizes)
    suffix = "_wmt_en_de" if preset == "wmt16" else ""
    own = {
        "conventional": ["--arch", f"transformer_conventional{suffix}"],
        "factorized": ["--arch", f"transformer_factorized{suffix}", "--factorized-dim", "7"],
        "alone_share": ["--arch", f"transformer_alone{suffix}", "--alone-share", "0.25"],
    }
    for kind in ("binary", "real"):
        own[f"alone_{kind}"] = ["--arch", f"transformer_alone{suffix}", "--alone-filter", kind]
        own[f"alone_{kind}"] += ["--alone-inter-dim", "99"]
        if preset == "wmt16":  # as in the authors' command
            dropout = {"binary": "0.15", "real": "0.2"}[kind]
            own[f"alone_{kind}"] += ["--alone-dropout", dropout, "--alone-dropout-until", "4500"]
            own[f"alone_{kind}"] += ["--alone-init", "published"]
    common = {}
    for embedding, command in commands.items():
        common[embedding] = list(command)
        for flag, wanted in zip(own[embedding][::2], own[embedding][1::2], strict=True):
            assert value(command, flag) == wanted
            start = common[embedding].index(flag)
            del common[embedding][start : start + 2]
    assert len({tuple(words) for words in common.values()}) == 1


@pytest.mark.parametrize("tie", ["all", "decoder", "none"])
def test_tying_is_one_flag(recipe, tie):
    _, [command] = recipe.dry_run(TIE=tie)
    assert value(command, "--tie-embeddings") == tie


def test_augmented_loss_changes_the_criterion_only(recipe):
    _, [without] = recipe.dry_run(AUGMENTED_LOSS="0.0")
    _, [command] = recipe.dry_run("--augmented-loss-temperature", "2", AUGMENTED_LOSS="0.5")
    plain = value(without, "--criterion")
    assert value(command, "--criterion") == f"{plain}_with_augmented_loss"
    assert value(command, "--augmented-loss-weight") == "0.5"
    assert value(command, "--augmented-loss-temperature") == "2"
    assert len(command) == len(without) + 4


def test_tiny_shape_is_written_out(recipe):
    _, [command] = recipe.dry_run(EMBEDDING="conventional")
    for side in ("encoder", "decoder"):
        shape = {"layers": "4", "embed-dim": "128", "ffn-embed-dim": "256", "attention-heads": "4"}
        assert {name: value(command, f"--{side}-{name}") for name in shape} == shape


def test_factorized_embedding_is_as_large_as_alone(recipe):
    text, [command] = recipe.dry_run(EMBEDDING="factorized", INTER_DIM=512)
    # 996 words and fairseq's 4 special symbols: d x (1000 + 128) next to 128 + 512 x 256 = 131,200
    assert value(command, "--factorized-dim") == "116"
    assert f"{116 * 1128:,} parameters (ALONE with D_inter 512: 131,200)" in text


def test_max_update_alone_lifts_the_limit_on_epochs(recipe):
    _, [command] = recipe.dry_run()
    assert (value(command, "--max-epoch"), value(command, "--max-update")) == ("15", "0")
    _, [command] = recipe.dry_run(MAX_UPDATE=500)
    assert (value(command, "--max-epoch"), value(command, "--max-update")) == ("0", "500")


def test_extra_flags_come_last_and_keep_their_spaces(recipe):
    _, [command] = recipe.dry_run("--dropout", "0.3", "--alone-seed=5", "a b")
    assert command[-4:] == ["--dropout", "0.3", "--alone-seed=5", "a b"]


# ------------------------------------------------------------------------------------------------- duc2004


@pytest.fixture
def headlines(recipe):
    """The same for the recipe of headline generation."""
    recipe.script = EXAMPLES / "duc2004" / "train.sh"
    return recipe


def test_gigaword_is_the_papers_section_3_3(headlines):
    headlines.prepare("gigaword")
    text, [command] = headlines.dry_run(GPUS=4, EMBEDDING="alone_binary", INTER_DIM=1024)
    assert batch(command) == (3584, 16)
    expected = {
        "--task": "headline_generation",
        "--arch": "transformer_alone_duc",
        "--alone-inter-dim": "1024",
        "--alone-init": "published",
        "--alone-dropout": "0.1",
        "--alone-dropout-until": "300",
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
    _, [command] = headlines.dry_run(EMBEDDING=embedding)
    assert value(command, "--arch") == arch
    assert all(flag in command for flag in own)
    assert ("--alone-dropout" in command) == ("--alone-dropout" in own)
    assert any(word.startswith("--alone") for word in command) == embedding.startswith("alone")


@pytest.mark.parametrize(
    ("variables", "flags"),
    [
        ({}, ["--length-encoding", "ldpe"]),
        ({"ABSOLUTE": 1}, ["--length-encoding", "ldpe", "--length-with-absolute"]),
        ({"LENGTH": "lrpe"}, ["--length-encoding", "lrpe"]),
        ({"LENGTH": "none"}, ["--length-encoding", "none"]),
    ],
)
def test_length_and_absolute_choose_the_length_encoding(headlines, variables, flags):
    _, [command] = headlines.dry_run(**variables)
    start = command.index("--length-encoding")
    assert [word for word in command[start:] if word in flags] == flags
    assert sum(word.startswith("--length") for word in command) == len(flags) - 1


def test_headline_settings_tell_length_encodings_apart(headlines):
    assert headlines.run().returncode == 0
    assert "length=ldpe\nabsolute=0\n" in (headlines.folder / "runs" / "run" / "done").read_text()
    assert "there: length=ldpe; now: length=lrpe" in headlines.refused(LENGTH="lrpe")
    assert "there: absolute=0; now: absolute=1" in headlines.refused(ABSOLUTE=1)


@pytest.mark.parametrize(
    ("flags", "variables", "words"),
    [
        ([], {"LENGTH": "rpe"}, "LENGTH must be lrpe, ldpe or none, got 'rpe'"),
        ([], {"ABSOLUTE": "yes"}, "ABSOLUTE must be 0 or 1, got 'yes'"),
        (["--length-encoding", "lrpe"], {}, "--length-encoding is set by the variable LENGTH"),
        (["--length-with-absolute"], {}, "--length-with-absolute is set by the variable ABSOLUTE"),
        ([], {"PRESET": "wmt16"}, "was prepared with PRESET=small"),
    ],
)
def test_headline_refusals(headlines, flags, variables, words):
    assert words in headlines.refused(*flags, **variables)


def test_headline_recipe_knows_its_presets(headlines):
    headlines.prepare("wmt16")
    assert "PRESET must be gigaword or small, got 'wmt16'" in headlines.refused()


# ------------------------------------------------------------------------------------------------- workers


def test_cpu_is_chosen_without_gpus(recipe):
    text, [command] = recipe.dry_run()
    assert "--cpu" in command
    assert "--fp16" not in command
    assert value(command, "--distributed-world-size") == "1"
    assert "(CPU, this machine)" in text
    _, [command] = recipe.dry_run(CPU=1, GPUS=4)
    assert "--cpu" in command


def test_two_cpu_workers_are_two_joined_processes(recipe):
    _, commands = recipe.dry_run(WORKERS=2)
    assert [value(command, "--distributed-rank") for command in commands] == ["0", "1"]
    for command in commands:
        assert value(command, "--distributed-world-size") == "2"
        assert value(command, "--distributed-backend") == "gloo"
        assert value(command, "--ddp-backend") == "legacy_ddp"
        assert value(command, "--distributed-init-method").startswith("tcp://localhost:")
        assert "--distributed-no-spawn" in command


def test_fairseq_starts_the_processes_of_several_gpus(recipe):
    _, [command] = recipe.dry_run(GPUS=2)
    assert value(command, "--distributed-world-size") == "2"
    assert "--distributed-no-spawn" not in command
    assert "--ddp-backend" not in command
    assert "WORKERS=3, but torch sees 2 GPU(s)" in recipe.refused(DRY_RUN=1, GPUS=2, WORKERS=3)


@pytest.mark.parametrize(("gpus", "device_id"), [(0, "0"), (1, "0"), (2, "1")])
def test_torchrun_gives_rank_and_size(recipe, gpus, device_id):
    recipe.prepare("wmt16")
    torchrun = {"RANK": 5, "WORLD_SIZE": 8, "LOCAL_RANK": 1, "MASTER_ADDR": "node0", "MASTER_PORT": 1234}
    text, [command] = recipe.dry_run(GPUS=gpus, **torchrun)
    assert "8 workers x 3,584 tokens x update-freq 16" in text
    assert value(command, "--distributed-rank") == "5"
    assert value(command, "--distributed-world-size") == "8"
    assert value(command, "--distributed-init-method") == "env://"
    assert value(command, "--device-id") == device_id
    assert "--distributed-no-spawn" in command
    assert ("--cpu" in command) == (gpus == 0)


SLURM = {"SLURM_PROCID": 3, "SLURM_STEP_ID": 0, "SLURM_JOB_ID": 77, "MASTER_ADDR": "node0"}


def test_slurm_with_one_task_for_each_gpu(recipe):
    recipe.prepare("wmt16")
    tasks = {"SLURM_NTASKS": 8, "SLURM_NNODES": 2, "SLURM_LOCALID": 3}
    text, [command] = recipe.dry_run(GPUS=4, **SLURM, **tasks)
    assert "8 workers" in text
    assert "(GPU, SLURM)" in text
    assert value(command, "--distributed-rank") == "3"
    assert value(command, "--device-id") == "3"
    assert value(command, "--distributed-init-method") == "tcp://node0:10077"
    assert "--distributed-no-spawn" in command


def test_slurm_with_one_task_for_each_machine(recipe):
    recipe.prepare("wmt16")
    tasks = {"SLURM_NTASKS": 4, "SLURM_NNODES": 4, "SLURM_LOCALID": 0}
    text, [command] = recipe.dry_run(GPUS=2, **SLURM, **tasks)
    assert "8 workers" in text
    assert value(command, "--distributed-rank") == "6"
    assert value(command, "--distributed-world-size") == "8"
    assert "--distributed-no-spawn" not in command


def test_slurm_batch_script_without_srun_is_one_machine(recipe):
    text, _ = recipe.dry_run(GPUS=1, SLURM_PROCID=0, SLURM_NTASKS=8)
    assert "= 1 worker x" in text
    assert "this machine" in text


# ------------------------------------------------------------------------------------------------- running


def test_run_leaves_log_settings_command_and_done(recipe):
    result = recipe.run("--dropout", "0.3", TRAINING="echo hello; echo warning >&2")
    assert result.returncode == 0, result.stderr
    run = recipe.folder / "runs" / "run"
    assert (run / "train.log").read_text() == "hello\nwarning\n"
    assert "hello" in result.stdout
    settings = (run / "settings").read_text()
    assert "embedding=alone_share\nshare=0.5\ntie=all\naugmented_loss=0\nseed=1\n" in settings
    assert "\npreset_flags=--encoder-layers 4 " in settings
    assert "flags=--dropout 0.3\n" in settings
    assert (run / "done").read_text() == settings
    command = shlex.split((run / "command").read_text())
    assert command[1:] == (recipe.calls / "rank.0").read_text().splitlines()
    assert value(command, "--save-dir") == str(run / "checkpoints")


def test_finished_run_is_skipped_and_other_settings_are_refused(recipe):
    assert recipe.run().returncode == 0
    (recipe.calls / "rank.0").unlink()
    again = recipe.run()
    assert again.returncode == 0
    assert "is trained already; nothing to do" in again.stdout
    assert not (recipe.calls / "rank.0").exists()
    assert "there: seed=1; now: seed=2" in recipe.refused(SEED=2)
    assert "there: flags=; now: flags=--dropout 0.3" in recipe.refused("--dropout", "0.3")
    assert "there: nothing; now: fp16=0" in recipe.refused(FP16=0)
    settings = recipe.folder / "runs" / "run" / "settings"
    # As if another version of the preset had trained it.
    settings.write_text(settings.read_text().replace("--lr 0.004", "--lr 0.003"))
    assert "--lr 0.003" in recipe.refused()
    # As if a version had trained it that did not write down what the preset says.
    without = [line for line in settings.read_text().splitlines() if not line.startswith("preset_flags=")]
    settings.write_text("\n".join(without) + "\n")
    assert "nothing to do" in recipe.run().stdout
    assert "there: seed=1; now: seed=2)" in recipe.refused(SEED=2)
    # Other hardware is no other setting.
    assert recipe.run(WORKERS=2).returncode == 0
    assert recipe.run(name="other", SEED=2).returncode == 0


def test_interrupted_run_goes_on_and_its_log_grows(recipe):
    run = recipe.folder / "runs" / "run"
    failed = recipe.run(TRAINING=f"echo first; touch '{run}/checkpoints/checkpoint_last.pt'; exit 7")
    assert failed.returncode == 1
    assert "stopped with status 7; see the messages in" in failed.stderr
    assert not (run / "done").exists()
    assert recipe.run(TRAINING="echo second", QUIET=1).returncode == 0
    assert (run / "train.log").read_text() == "first\nsecond\n"
    assert (run / "done").exists()


def test_a_relative_python_is_found_from_any_folder(recipe):
    assert recipe.run(PYTHON="./python").returncode == 0
    assert shlex.split((recipe.folder / "runs/run/command").read_text())[0] == str(recipe.folder.parent / "python")


def test_a_run_that_begins_anew_has_a_log_of_its_own(recipe):
    """Without a checkpoint nothing of the first training is in the second."""
    run = recipe.folder / "runs" / "run"
    for text in ("first", "second", "third"):
        assert recipe.run(TRAINING=f"echo {text}").returncode == 0
        assert (run / "train.log").read_text() == f"{text}\n"
        (run / "done").unlink()
    assert (run / "train.log.old").read_text() == "second\n"
    assert (run / "train.log.old.~1~").read_text() == "first\n"


def test_results_do_not_outlive_the_checkpoints_they_were_made_of(recipe):
    run = recipe.folder / "runs" / "run"
    assert recipe.run(TRAINING="exit 7").returncode == 1
    (run / "headlines").mkdir()
    results = ("scores.json", "evaluate.settings", "averaged.pt", "headline_scores.json", "headline_scores.md")
    results += ("headlines/30.settings", "headlines/free.settings", "lengths.png", "generated.txt", "test.hyp.de")
    for name in results:
        (run / name).write_text("of the first part\n")
    (run / "headlines/30.first").write_text("a headline\n")
    assert recipe.run(DRY_RUN=1).returncode == 0
    assert all((run / name).exists() for name in results)
    assert recipe.run().returncode == 0
    assert not any((run / name).exists() for name in results)
    assert (run / "headlines/30.first").exists()
    (run / "scores.json").write_text("of the whole training\n")
    assert "nothing to do" in recipe.run().stdout
    assert (run / "scores.json").exists()


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pid_of(recipe, rank):
    path = recipe.calls / f"pid.{rank}"
    for _ in range(200):
        if path.exists() and path.read_text().strip():
            return int(path.read_text())
        time.sleep(0.05)
    raise AssertionError(f"rank {rank} never started")


@pytest.mark.parametrize("failing", [0, 1])
def test_failing_worker_stops_the_other(recipe, failing):
    result = recipe.run(WORKERS=2, TRAINING=f"if [[ $rank == {failing} ]]; then sleep 0.5; exit 3; fi; exec sleep 50")
    assert result.returncode == 1
    assert "stopped with status 3" in result.stderr
    assert not is_alive(pid_of(recipe, 1 - failing))
    assert not (recipe.folder / "runs" / "run" / "done").exists()


def test_two_workers_write_one_run(recipe):
    result = recipe.run(WORKERS=2, TRAINING="sleep 0.$((rank * 4)); echo rank $rank")
    assert result.returncode == 0, result.stderr
    run = recipe.folder / "runs" / "run"
    assert sorted((run / "train.log").read_text().splitlines()) == ["rank 0", "rank 1"]
    assert (run / "done").exists()
    addresses = {value((recipe.calls / f"rank.{r}").read_text().split(), "--distributed-init-method") for r in (0, 1)}
    assert addresses == {"tcp://localhost:29123"}


def test_only_rank_0_writes_shared_files(recipe):
    torchrun = {"RANK": 1, "WORLD_SIZE": 2, "LOCAL_RANK": 1, "MASTER_ADDR": "localhost"}
    assert recipe.run(**torchrun).returncode == 0
    written = [path.name for path in (recipe.folder / "runs" / "run").rglob("*") if path.is_file()]
    assert written == []
    assert recipe.run(**(torchrun | {"RANK": 0, "LOCAL_RANK": 0})).returncode == 0
    assert (recipe.folder / "runs" / "run" / "done").exists()


def test_killing_the_script_stops_the_training(recipe):
    arguments = ["bash", recipe.script, recipe.folder, "run"]
    environment = recipe.environment({"WORKERS": 2, "TRAINING": "exec sleep 50"})
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        pids = [pid_of(recipe, rank) for rank in (0, 1)]
        # A second training of the same run would overwrite the checkpoints of the first.
        assert "another train.sh is training" in recipe.refused()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 143
    for _ in range(100):
        if not any(is_alive(pid) for pid in pids):
            break
        time.sleep(0.05)
    assert not any(is_alive(pid) for pid in pids)


# ------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("flags", "variables", "sentence"),
    [
        ([], {"PRESET": "wmt16"}, "PRESET=wmt16, but"),
        ([], {"EMBEDDING": "none"}, "EMBEDDING must be conventional, factorized, alone_binary, alone_real or"),
        ([], {"EMBEDDING": "alone_share", "SHARE": "half"}, "SHARE must be a number like 0.5, got 'half'"),
        ([], {"INTER_DIM": "0"}, "INTER_DIM must be a positive whole number, got '0'"),
        ([], {"EMBEDDING": "factorized", "FACTORIZED_DIM": "x"}, "FACTORIZED_DIM must be a positive whole number"),
        ([], {"WORKERS": "two"}, "WORKERS must be a positive whole number"),
        ([], {"SEED": "-1"}, "SEED must be a whole number"),
        ([], {"MAX_EPOCH": "0"}, "the training would never end"),
        ([], {"name": "../x"}, "RUN_NAME may have"),
        ([], {"PYTHON": "/no/python"}, "PYTHON=/no/python is no command"),
        (
            [],
            {"MISSING": "torch fairseq"},
            "has no torch, no fairseq; name the Python that fairseq_alone is installed in",
        ),
        ([], {"FP16": "2"}, "FP16 must be 0 or 1, got '2'"),
        ([], {"TIE": "some"}, "TIE must be all, decoder or none, got 'some'"),
        ([], {"AUGMENTED_LOSS": "-1"}, "AUGMENTED_LOSS must be a number that is not negative"),
        (["--share-all-embeddings"], {}, "--share-all-embeddings is set by the variable TIE"),
        (["--criterion", "x"], {}, "--criterion follows from the variable AUGMENTED_LOSS"),
        (["--update-freq", "4"], {}, "--update-freq follows from the number of workers"),
        (["--max-tokens=4"], {}, "--max-tokens follows from the number of workers"),
        (["--seed", "4"], {}, "--seed is set by the variable SEED"),
        (["--max-update", "4"], {}, "--max-update is set by the variable MAX_UPDATE"),
        (["--save-dir", "x"], {}, "--save-dir is fixed by train.sh"),
        (["--arch", "x"], {}, "--arch follows from PRESET and EMBEDDING"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(recipe, flags, variables, sentence):
    assert sentence in recipe.refused(*flags, **variables)
    assert not (recipe.folder / "runs").exists()


def test_unprepared_folder_is_refused(recipe):
    (recipe.folder / "prepare.settings").unlink()
    assert "prepare.settings is missing; run prepare.sh first" in recipe.refused()
