"""The benchmark of benchmarks/deploy: every form decodes, and its table and picture show every form."""

import pytest
from conftest import ROOT
from toy_trained import toy_trained

from fairseq_alone.inference.backend import Search
from fairseq_alone.inference.fairseq_backend import FairseqBackend
from fairseq_alone.inference.opening import Given, open_model

pytestmark = pytest.mark.slow

FLAGS = ("--share-all-embeddings", "--max-source-positions=300", "--max-target-positions=300")
SOURCES = ["w1 w2 w3", "w4", "w5 w6 w7 w8"]


@pytest.fixture
def deploy(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks/deploy")
    import deploy

    return deploy


def test_forms_without_rounding_decode_as_the_model(deploy, tmp_path, data, trained):
    import measure

    search = Search(beam=4, lenpen=0.6, sentences=2, max_len_a=0.0, max_len_b=200)
    model = open_model(str(trained / "checkpoint_last.pt"), Given(str(data)))
    expected = [best[0].units for best in FairseqBackend(model).decode(SOURCES, search)]
    for name in ("stock", "ct2-float32"):
        form = deploy.FORMS[name]
        path = deploy.write(model, form, tmp_path / name)
        found = measure.measure(form.engine, str(path), SOURCES, 2, None)
        assert found["units"] == expected, name
        assert found["load_seconds"] > 0
        assert found["peak_bytes"] > 1e6
        assert deploy.model_bytes(path) == sum(
            file.stat().st_size for file in path.iterdir() if file.name != "README.md"
        )


def test_every_form_can_be_written_and_read(deploy, tmp_path):
    import measure

    trained = toy_trained("transformer_alone", *FLAGS)
    sizes = {}
    for name, form in deploy.FORMS.items():
        if form.target is None:
            continue
        path = deploy.write(trained, form, tmp_path / name)
        assert measure.open_backend(form.engine, str(path), None).max_source_units > 0
        sizes[name] = deploy.embedding_bytes(trained, form, path)
    assert sizes["fp16"] > sizes["int8"] > sizes["int8-int4"] == sizes["int4"]
    assert sizes["stock"] is None


def test_the_table_and_the_picture(deploy, tmp_path):
    rows = [
        {
            **{"model": model, "form": form, "bytes": 1e6 * (1 + number), "embedding_bytes": None, "table_bytes": 100},
            **{"BLEU": 30.0, "chrF": 50.0, "same_hypotheses": 999, "sentences_per_second": 96.4},
            **{"load_seconds": 0.5, "peak_bytes": 2e8},
        }
        for number, (model, form) in enumerate((model, form) for model in deploy.MODELS for form in deploy.FORMS)
    ]
    rows[5]["embedding_bytes"] = 6
    lines = deploy.table(rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert "0.0600" in lines[7]
    titles = {name: form.title for name, form in deploy.FORMS.items()}
    deploy.draw(rows, {name: title for name, (title, _) in deploy.MODELS.items()}, titles, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
