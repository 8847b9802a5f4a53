"""The study of benchmarks/convergence: equal sizes, and a small study from training to the pictures."""

import contextlib
import importlib
import io
import json
import math
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from conftest import ROOT, environment
from recipes.served import serve_fairseq

from fairseq_alone.cli import main

pytestmark = pytest.mark.slow

STUDY = ROOT / "benchmarks/convergence"


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(STUDY)
    import study

    return study


@pytest.mark.parametrize("embed_dim", [128, 256, 512])
def test_settings_of_one_share_have_equal_sizes(study, embed_dim):
    vocabulary = 7960
    for name, setting in study.SETTINGS.items():
        flags = setting.train_flags(vocabulary, embed_dim)
        options = setting.options(vocabulary, embed_dim)
        assert options.get("--start") == setting.start
        if setting.embedding == "conventional":
            # Of its table nothing but the loss may differ.
            assert setting.share == 1
            assert all(flag.startswith(("--criterion", "--augmented-loss-")) for flag in flags[::2])
            continue
        if setting.embedding == "factorized":
            values = int(options["--factorized-dim"]) * (vocabulary + embed_dim)
        elif setting.embedding in ("alone_share", "codes"):
            assert float(options["--share"]) == setting.share
            continue
        else:
            given = {flag: flags[flags.index(flag) + 1] for flag in flags if flag.startswith("--alone-")}
            base_dim = int(given.get("--alone-base-dim", embed_dim))
            values = int(options["--inter-dim"]) * (base_dim + embed_dim) + base_dim
            for band in filter(None, given.get("--alone-free-rows", "").split(",")):
                words, _, width = band.partition("x")
                values += int(words) * int(width or embed_dim) + int(width or 0) * embed_dim
        assert values == pytest.approx(setting.share * vocabulary * embed_dim, rel=0.04), name


def test_a_setting_without_values_for_the_network_is_refused(study):
    with pytest.raises(ValueError, match="no values are left"):
        study.Setting("alone_real", 0.1, base=8, free=0.99).options(1000, 128)


def command(work, *flags):
    words = [sys.executable, str(STUDY / "study.py"), str(work), "--quiet", "--epochs", "1", *map(str, flags)]
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment(), cwd="/")


@pytest.fixture
def here(study, monkeypatch, capsys):
    """The same in this process, which has imported all that it needs; the commands of the recipe too."""
    serve_fairseq(monkeypatch)
    one_at_a_time = threading.Lock()

    def run_recipe(words, env, **_):
        python, *module, name = words[:4]
        assert (python, module) == (sys.executable, ["-m", "fairseq_alone"])
        # A model that has learned nothing does not end its sentences.
        short = ["--", "--max-len-b", "9"] if name == "evaluate" else []
        with one_at_a_time, contextlib.redirect_stdout(io.StringIO()) as printed:
            status = main([name, *words[4:], *short])
        return subprocess.CompletedProcess(words, status, printed.getvalue(), "")

    def run(work, *flags, script="study", epochs=("--quiet", "--epochs", "1")):
        module = importlib.import_module(script)
        monkeypatch.setattr(sys, "argv", [f"{script}.py", str(work), *epochs, *map(str, flags)])
        capsys.readouterr()
        try:
            module.main()
            status = 0
        except SystemExit as stopped:
            status = stopped.code
        return subprocess.CompletedProcess([], status, *capsys.readouterr())

    monkeypatch.setattr(study, "subprocess", SimpleNamespace(run=run_recipe))
    return run


def test_a_small_study(corpus, tmp_path, here):
    """Two settings, then the scores of one; what is done is not done again."""
    work = tmp_path / "work"
    assert main(["prepare", str(work), str(corpus), "--merges", "60", "--workers", "1"]) == 0
    missing = here(work, "--collect", "--settings", "conventional")
    assert (missing.returncode, "no run is done yet" in missing.stderr) == (2, True)
    small = here(work, "--settings", "share_half")
    assert small.returncode == 2
    assert small.stderr.splitlines()[-1].endswith(
        "share_half: share is too small for 48 words and vectors of 128 values, got 0.5: no share does; give the sizes "
        "themselves"
    )
    done = here(work, "--settings", "conventional", "rows25_half")
    assert done.returncode == 0, done.stderr
    done = here(work, "--settings", "rows25_half", "--score")
    assert done.returncode == 0, done.stderr
    assert (work / "study/tiny-curves.png").read_bytes()[:4] == b"\x89PNG"
    assert (work / "study/tiny-map.png").read_bytes()[:4] == b"\x89PNG"
    conventional, rows = json.loads((work / "study/runs.json").read_text())
    assert (conventional["setting"], conventional["bleu"], len(conventional["perplexities"])) == (
        "conventional",
        None,
        1,
    )
    assert (rows["setting"], rows["vocabulary"], rows["bleu"] >= 0) == ("rows25_half", 48, True)
    both = command(work, "--collect", "--seeds", 1, 2)
    assert both.returncode == 0, both.stderr
    assert [line.split(" | ")[0].strip("| ") for line in both.stdout.splitlines()[2:]] == [
        "conventional",
        "rows25_half",
    ]
    # A record shows what it holds where nothing was trained; another seed's run counts for the mean.
    record = tmp_path / "record.json"
    other = {**rows, "seed": 2, "perplexities": [rows["perplexities"][0] * 4], "bleu": rows["bleu"] + 1}
    record.write_text(json.dumps([rows, other]))
    shown = here(tmp_path / "elsewhere", "--collect", "--seeds", 1, 2, "--record", record)
    assert shown.returncode == 0, shown.stderr
    (row,) = [[cell.strip() for cell in line.split("|")[1:-1]] for line in shown.stdout.splitlines()[2:]]
    assert row[3] == "2"
    perplexities = [rows["perplexities"][0] * factor for factor in (2, 1, 4)]
    written = [float(number) for number in row[4].strip(")").replace("(", "to ").split(" to ")]
    assert written == pytest.approx(perplexities, rel=0.02)
    sizes = [[float(size) for size in cell.split(" / ")] for cell in row[6:]]
    assert [len(part) for part in sizes] == [4, 4]
    assert all(part == sorted(part, reverse=True) for part in sizes)
    assert row[5] == f"{rows['bleu'] + 0.5:.1f} ({rows['bleu']:.1f} to {rows['bleu'] + 1:.1f})"
    # The loss by frequency, all words together, is the one that the training logged.
    run = "study-tiny-rows25_half-epochs1-seed1"
    losses = json.loads(here(work, run, "--json", script="frequency", epochs=()).stdout)
    *ranges, all_words = losses[run]
    assert math.exp(all_words["loss"]) == pytest.approx(rows["perplexities"][0], rel=2e-3)
    assert sum(row["share"] for row in ranges) == pytest.approx(1)
    assert sum(row["share"] * row["loss"] for row in ranges if row["share"]) == pytest.approx(all_words["loss"])
    logs = (work / f"runs/{run}/train.log").read_text()
    assert logs.count("done training") == 1
    assert "Muon for 2 matrices" in logs
