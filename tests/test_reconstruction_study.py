"""The study of ``benchmarks/reconstruction`` at toy size: it goes on where it stopped, and judges by its numbers."""

import json
import sys

import numpy as np
import pytest
from conftest import ROOT

from fairseq_alone.corpus.vector_file import write_vectors


@pytest.fixture
def benchmark(monkeypatch):
    """Its modules, which stand beside each other as a script's do."""
    for name in ("study", "findings", "picture"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks/reconstruction"))
    yield
    for name in ("study", "findings", "picture"):
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_a_study_that_goes_on(benchmark, tmp_path, monkeypatch, capsys):
    import study

    generator = np.random.default_rng(1)
    vectors, pairs, out = tmp_path / "given.txt", tmp_path / "pairs.txt", tmp_path / "out"
    write_vectors(str(vectors), [f"w{n}" for n in range(20)], generator.normal(size=(20, 4)).astype(np.float32))
    pairs.write_text("\n".join(f"w{n} w{n + 3} {generator.random()}" for n in range(15)) + "\n")
    command = ["study.py", str(vectors), str(out), "--pairs", str(pairs), "--epochs", "2", "--inter-dim", "3", "5"]
    monkeypatch.setattr(sys, "argv", [*command, "--seeds", "1"])
    study.main()
    assert "8 trainings, seeds 1, 2 epochs each" in capsys.readouterr().out
    trained = []
    rebuild = study.rebuild
    monkeypatch.setattr(study, "rebuild", lambda *args: trained.append(args[2]) or rebuild(*args))
    monkeypatch.setattr(sys, "argv", [*command, "--seeds", "1", "2"])
    study.main()
    assert trained == [2] * 8
    output = capsys.readouterr().out
    assert "| given vectors |" in output
    assert "16 trainings, seeds 1, 2, 2 epochs each" in output
    results = json.loads((out / "results.json").read_text())
    assert len(results["trainings"]) == 16
    assert results["given"]["pairs"]["covered"] == 15
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert not list(out.glob("*.pt"))


def training(kind, fix_base, width, rho, seed=1):
    return {"filter": kind, "fix_base": fix_base, "inter_dim": width, "seed": seed, "similarity": {"rg": {"rho": rho}}}


def test_findings_by_hand(benchmark):
    from findings import findings

    results = {
        "epochs": 9,
        "given": {"rg": {"rho": 0.8}},
        "trainings": [
            training("real", False, 600, 0.6),
            training("binary", False, 600, 0.61),
            training("real", False, 2400, 0.74, seed=1),
            training("real", False, 2400, 0.82, seed=2),
            training("binary", False, 2400, 0.75),
            training("real", True, 2400, 0.9),
        ],
    }
    assert findings(results) == [
        "at D_inter = 2,400 real filters reach rho of the given vectors within 0.03: confirmed (rg 0.780 and 0.800)",
        "at D_inter = 2,400 binary filters reach rho of the given vectors within 0.03: refuted (rg 0.750 and 0.800)",
        "at D_inter = 600 real filters are not below binary ones: refuted (rg 0.600 and 0.610)",
        "training o is not below a fixed o: refuted (it is not below in 0 of 1 means; mean difference -0.1200, from "
        "-0.120 to -0.120)",
        "6 trainings, seeds 1, 2, 9 epochs each",
    ]
    results["trainings"] = results["trainings"][:1]
    assert findings(results)[2] == "at D_inter = 600 real filters are not below binary ones: not measured"
    assert findings({**results, "trainings": []}) == []
