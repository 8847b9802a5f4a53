"""``fairseq-alone compare`` and the reader of fairseq's training logs, on runs written by hand."""

import argparse
import json

import pytest
import torch
from toy_checkpoints import write_checkpoint

from fairseq_alone.cli import main
from fairseq_alone.cli.compare import duration
from fairseq_alone.cli.product_bytes import TYPES, megabytes
from fairseq_alone.cli.training_log import read_training_log
from fairseq_alone.errors import UserError

VOCABULARY, EMBED_DIM = 7, 4


def train_report(epoch, updates, seconds):
    return json.dumps({"epoch": epoch, "train_num_updates": str(updates), "train_train_wall": str(seconds)})


def valid_report(epoch, updates, ppl, loss="3.5"):
    report = {"epoch": epoch, "valid_loss": loss, "valid_ppl": str(ppl), "valid_num_updates": str(updates)}
    return json.dumps(report)


LOG = "\n".join(
    [
        "2026-11-20 18:54:24 | INFO | fairseq_cli.train | {'_name': None, 'common': {}}",
        '2026-11-20 18:54:24 | INFO | train_inner | {"epoch": 1, "update": 0.5, "loss": "9.1"}',
        "2026-11-20 18:54:24 | INFO | valid | " + valid_report(1, 10, 80.0, "6.5"),
        "2026-11-20 18:54:24 | INFO | train | " + train_report(1, 10, 40),
        # epoch 2 was validated, then the machine stopped; the resumed training did the epoch again
        valid_report(2, 20, 99.0),
        train_report(2, 20, 900),
        valid_report(2, 20, 50.0),
        train_report(2, 20, 50),
        valid_report(3, 30, 55.5),
        train_report(3, 30, 35),
        '2026-11-20 18:54:24 | INFO | train_inner | {"epoch": 4, "upd',
    ]
)


def make_run(folder, log=LOG, bleu=None, hypothesis="x", optimizer=False, signature="nrefs:1|case:mixed"):
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "train.log").write_text(log, "utf-8")
    generator = torch.Generator().manual_seed(1)
    table = torch.randn(VOCABULARY, EMBED_DIM, generator=generator)
    model = {
        "encoder.embed_tokens.weight": table,
        "decoder.embed_tokens.weight": table,
        "decoder.output_projection.weight": table,
        "encoder.layers.0.fc1.weight": torch.randn(3, EMBED_DIM, generator=generator),
    }
    settings = argparse.Namespace(arch="transformer", share_all_embeddings=True)
    checkpoint = {"cfg": {"model": settings}, "args": None, "model": model, "extra_state": {}}
    checkpoint["optimizer_history"] = [{"num_updates": 30}]
    torch.save(checkpoint, folder / "averaged.pt")
    checkpoint["last_optimizer_state"] = {"state": torch.zeros(100_000)}
    torch.save(checkpoint, folder / "checkpoints" / "checkpoint_last.pt")
    if optimizer:
        (folder / "averaged.pt").unlink()
    if bleu is not None:
        examples = [
            {"sentence": number, "source": f"s{number}", "reference": f"r{number}", "hypothesis": hypothesis}
            for number in (1, 5, 9)
        ]
        scores = {
            "BLEU": {"score": bleu, "signature": signature},
            "chrF": {"score": 50.0, "signature": "nrefs:1|nc:6"},
            "examples": examples,
        }
        (folder / "scores.json").write_text(json.dumps(scores), "utf-8")
    return str(folder)


def compared(capsys, *arguments):
    assert main(["compare", *arguments]) == 0
    return capsys.readouterr().out


def test_log_of_a_resumed_training_counts_every_epoch_once(tmp_path):
    path = tmp_path / "train.log"
    path.write_text(LOG, "utf-8")
    log = read_training_log(str(path))
    assert [(v.epoch, v.update, v.loss, v.ppl) for v in log.validations] == [
        (1, 10, 6.5, 80.0),
        (2, 20, 3.5, 50.0),
        (3, 30, 3.5, 55.5),
    ]
    assert log.updates == 30
    assert log.train_seconds == 40 + 50 + 35
    assert [v.hours * 3600 for v in log.validations] == pytest.approx([40, 90, 125])


def test_a_line_written_more_than_once_counts_once(tmp_path):
    path = tmp_path / "train.log"
    path.write_text("\n".join(line for line in LOG.split("\n") for _ in range(3)), "utf-8")
    assert read_training_log(str(path)).train_seconds == 125


def test_a_byte_order_mark_hides_no_report(tmp_path):
    path = tmp_path / "train.log"
    path.write_text(f"\ufeff{valid_report(1, 5, 9.0)}\n\ufeff{train_report(1, 5, 40)}\n", "utf-8")
    log = read_training_log(str(path))
    assert [v.ppl for v in log.validations] == [9.0]
    assert log.train_seconds == 40


def test_validations_inside_an_epoch_share_its_time(tmp_path):
    path = tmp_path / "train.log"
    path.write_text("\n".join([valid_report(1, 5, 9.0), valid_report(1, 20, 8.0), train_report(1, 20, 40)]), "utf-8")
    assert [v.hours * 3600 for v in read_training_log(str(path)).validations] == pytest.approx([10, 40])


@pytest.mark.parametrize("text", ["", "Traceback\n", '{"epoch": 1, "loss": "3"}\n', '{"epoch": 1, "train_num'])
def test_log_without_reports_is_refused(text, tmp_path):
    (tmp_path / "train.log").write_text(text)
    with pytest.raises(UserError, match="fairseq-train did not write this"):
        read_training_log(str(tmp_path / "train.log"))


def test_a_run_in_its_first_epoch_is_left_out_of_a_table_of_several(tmp_path, capsys):
    folders = make_run(tmp_path / "done"), make_run(tmp_path / "begun")
    for checkpoint in tmp_path.glob("begun/**/*.pt"):
        checkpoint.unlink()
    begun = tmp_path / "begun/train.log"
    begun.write_text("2026-11-28 14:03:02 | INFO | fairseq_cli.train | Start iterating over samples\n")
    (result,) = json.loads(compared(capsys, *folders, "--json"))
    assert result["run"] == "done"
    assert main(["compare", *map(str, folders)]) == 0
    assert capsys.readouterr().err == "begun: no epoch was finished yet; left out\n"
    assert main(["compare", str(folders[1])]) == 1
    assert f"{begun}: no epoch was finished yet\n" in capsys.readouterr().err
    picture = tmp_path / "curves.png"
    assert main(["plot", *map(str, folders), "--output", str(picture)]) == 0
    assert "1 curve" in capsys.readouterr().out


def test_json_holds_the_sizes_of_the_checkpoint_and_the_history_of_the_log(tmp_path, capsys):
    run_dir = make_run(tmp_path / "base", bleu=31.25)
    [result] = json.loads(compared(capsys, run_dir, "--json"))
    assert result["run"] == "base"
    assert result["embedding"] == "conventional"
    assert result["embedding_parameters"] == VOCABULARY * EMBED_DIM
    assert result["total_parameters"] == VOCABULARY * EMBED_DIM + 3 * EMBED_DIM
    assert result["checkpoint_bytes"] == (tmp_path / "base" / "averaged.pt").stat().st_size
    assert (result["best_valid_ppl"], result["last_valid_ppl"]) == (50.0, 55.5)
    # 7 words and 3 more rows, of 4 values each; with 8 and 4 bits each row has a scale of 2 bytes.
    products = result["product_bytes"]
    assert [products[kind] for kind in ("trained", "int8", "int4")] == [
        {"embedding": 7 * 16, "model": 10 * 16},
        {"embedding": 7 * 6, "model": 10 * 6},
        {"embedding": 7 * 4, "model": 10 * 4},
    ]
    assert (result["updates"], result["train_seconds"]) == (30, 125)
    assert result["BLEU"] == {"score": 31.25, "signature": "nrefs:1|case:mixed"}


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ({}, "alone (binary)"),
        ({"alone_filter": "real", "alone_free_rows": "2,3x4"}, "alone (real, free rows)"),
        ({"embedding_bits": 8}, "alone (binary), 8 bits"),
    ],
)
def test_an_embedding_is_named_with_its_filter_rows_and_bits(tmp_path, capsys, flags, kind):
    run_dir = make_run(tmp_path / "run")
    write_checkpoint(tmp_path / "run/averaged.pt", arch="transformer_alone", **flags)
    [result] = json.loads(compared(capsys, run_dir, "--json"))
    assert result["embedding"] == kind


def test_before_evaluation_the_optimizer_does_not_count_as_checkpoint_size(tmp_path, capsys):
    run_dir = make_run(tmp_path / "base", optimizer=True)
    [result] = json.loads(compared(capsys, run_dir, "--json"))
    assert result["checkpoint_bytes"] == 4 * (VOCABULARY * EMBED_DIM + 3 * EMBED_DIM)
    assert result["BLEU"] is None


def test_table_is_markdown_with_one_row_for_each_run(tmp_path, capsys):
    runs = make_run(tmp_path / "base", bleu=31.256), make_run(tmp_path / "alone")
    output = tmp_path / "table.md"
    text = compared(capsys, *runs, "--output", str(output))
    assert output.read_text("utf-8") == text
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.split("\n") if line.startswith("|")]
    header, rule, base, alone = rows
    assert {len(row) for row in rows} == {len(header)}
    assert all(set(cell) <= {"-", ":"} for cell in rule)
    cell = dict(zip(header, base, strict=True))
    assert cell["run"] == "base"
    assert cell["tying"] == "three-way"
    assert cell["embedding parameters"] == "28"
    assert cell["BLEU"] == "31.26"
    assert cell["model MB fp32 / fp16 / int8 / int4"] == "0.00 / 0.00 / 0.00 / 0.00"
    assert cell["valid ppl best / last"] == "50.00 / 55.50"
    assert cell["training time"] == "2 min 05 s"
    assert dict(zip(header, alone, strict=True))["BLEU"] == "-"
    assert "BLEU: nrefs:1|case:mixed" in text


def test_on_a_narrow_screen_each_run_is_a_column(tmp_path, capsys, monkeypatch):
    runs = make_run(tmp_path / "base", bleu=31.256), make_run(tmp_path / "alone")
    wide, output = compared(capsys, *runs), tmp_path / "table.md"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(wide.index("\n")))
    assert compared(capsys, *runs) == wide
    monkeypatch.setenv("COLUMNS", str(wide.index("\n") - 1))
    narrow = compared(capsys, *runs, "--output", str(output))
    assert output.read_text("utf-8") == wide
    turned = table_of(narrow)
    assert {row["run"]: (row["base"], row["alone"]) for row in turned} == {
        name: (cell, table_of(wide)[1][name]) for name, cell in table_of(wide)[0].items() if name != "run"
    }
    assert narrow.partition("\n\n")[2] == wide.partition("\n\n")[2] != ""


def test_scores_with_a_byte_order_mark_are_read(tmp_path, capsys):
    run_dir = make_run(tmp_path / "a", bleu=1.0)
    text = compared(capsys, run_dir)
    scores = tmp_path / "a" / "scores.json"
    scores.write_text("\ufeff" + scores.read_text("utf-8"), "utf-8")
    assert compared(capsys, run_dir) == text


def test_two_signatures_are_told_apart(tmp_path, capsys):
    runs = make_run(tmp_path / "a", bleu=1.0), make_run(tmp_path / "b", bleu=2.0, signature="nrefs:1|case:lc")
    text = compared(capsys, *runs)
    assert "BLEU of a: nrefs:1|case:mixed" in text
    assert "BLEU of b: nrefs:1|case:lc" in text


def test_examples_show_source_reference_and_every_run(tmp_path, capsys):
    runs = make_run(tmp_path / "a", bleu=1.0, hypothesis="ha"), make_run(tmp_path / "b", bleu=2.0, hypothesis="hb")
    text = compared(capsys, *runs, "--examples", "2")
    first, second = text.split("Test sentence ")[1:]
    assert first.startswith("1:")
    assert second.startswith("5:")
    assert [line.split()[-1] for line in first.strip().split("\n")[2:]] == ["s1", "r1", "ha", "hb"]


def test_bad_input_is_named(tmp_path, capsys):
    run_dir = make_run(tmp_path / "a", bleu=1.0)
    other = make_run(tmp_path / "b", bleu=1.0)
    scores = json.loads((tmp_path / "b" / "scores.json").read_text())
    scores["examples"][0]["reference"] = "another"
    (tmp_path / "b" / "scores.json").write_text(json.dumps(scores))
    cases = [
        ([run_dir, other, "--examples", "1"], "scored on different test sets"),
        ([run_dir, "--examples", "4"], "a has only 3 examples"),
        ([run_dir, "--examples", "-1"], "--examples must not be negative"),
        ([run_dir, run_dir], "is given twice"),
        ([str(tmp_path / "none")], "none: there is no such file or folder"),
        ([str(tmp_path)], "holds no training: no log of fairseq-train (train.log, "),
        ([make_run(tmp_path / "c"), "--examples", "1"], "c has no scores.json"),
    ]
    for arguments, sentence in cases:
        assert main(["compare", *arguments]) == 1
        assert sentence in capsys.readouterr().err
    (tmp_path / "a" / "scores.json").write_text('{"BLEU"')
    assert main(["compare", run_dir]) == 1
    assert "scores.json: not JSON" in capsys.readouterr().err


def test_runs_with_the_same_name_are_told_apart_by_their_folders(tmp_path, capsys):
    runs = make_run(tmp_path / "x" / "base"), make_run(tmp_path / "y" / "base")
    names = [result["run"] for result in json.loads(compared(capsys, *runs, "--json"))]
    assert names == ["x/base", "y/base"]


def test_a_log_alone_and_checkpoints_alone(tmp_path, capsys):
    """What only the other would tell is a dash."""
    make_run(tmp_path / "run")
    (tmp_path / "run/averaged.pt").unlink()
    log = (tmp_path / "run/train.log").rename(tmp_path / "printed.txt")
    with open(log, "a") as file:
        file.write("\nINFO | fairseq_cli.train | num. shared model params: 2,000 (num. trained: 1,234)\n")
    text = compared(capsys, str(log), str(tmp_path / "run/checkpoints"))
    of_log, of_checkpoints = table_of(text)
    assert {name for name, cell in of_log.items() if cell == "-"} == {
        *("embedding", "tying", "embedding parameters", "checkpoint MB", "BLEU", "chrF"),
        *("embedding MB fp32 / fp16 / int8 / int4", "model MB fp32 / fp16 / int8 / int4"),
    }
    assert (of_log["run"], of_log["all parameters"], of_log["updates"]) == ("printed.txt", "1,234", "30")
    assert of_log["valid ppl best / last"] == "50.00 / 55.50"
    assert {name for name, cell in of_checkpoints.items() if cell == "-"} == {
        *("valid ppl best / last", "BLEU", "chrF", "training time"),
    }
    assert (of_checkpoints["all parameters"], of_checkpoints["updates"]) == ("40", "30")


def test_duration():
    assert [duration(seconds) for seconds in (0, 59.6, 200, 3599, 7500)] == [
        "0 s",
        "1 min 00 s",
        "3 min 20 s",
        "59 min 59 s",
        "2 h 05 min",
    ]


def make_language_model_run(folder, valid, test):
    run_dir = make_run(folder)
    scores = {"valid": {"perplexity": valid, "tokens": 11}, "test": {"perplexity": test, "tokens": 12}}
    (folder / "scores.json").write_text(json.dumps({"language_model": scores}), "utf-8")
    return run_dir


def table_of(text):
    header, _, *rows = [line for line in text.split("\n") if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (header, *rows)]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]


def test_language_models_show_perplexity_and_no_bleu(tmp_path, capsys):
    runs = make_language_model_run(tmp_path / "re", 101.0, 98.765), make_language_model_run(tmp_path / "al", 120, 110)
    text = compared(capsys, *runs)
    rows = table_of(text)
    assert [row["ppl of valid / test"] for row in rows] == ["101.00 / 98.77", "120.00 / 110.00"]
    assert [row["tying"] for row in rows] == ["three-way"] * 2
    assert "BLEU" not in text
    assert "chrF" not in text


def test_translations_beside_language_models_show_both(tmp_path, capsys):
    rows = table_of(
        compared(
            capsys,
            make_run(tmp_path / "translation", bleu=31.25),
            make_language_model_run(tmp_path / "lm", 101.0, 98.0),
        )
    )
    assert [(row["BLEU"], row["ppl of valid / test"]) for row in rows] == [("31.25", "-"), ("-", "101.00 / 98.00")]
    assert "ppl of valid / test" not in compared(capsys, str(tmp_path / "translation"))


def test_megabytes_stand_in_one_cell():
    products = {
        kind: {"embedding": size, "model": 2 * size} for kind, size in zip(TYPES, (4e6, 2e6, 1e6, 5e5), strict=True)
    }
    assert megabytes({**products, "stock": None}, "embedding") == "4.00 / 2.00 / 1.00 / 0.50"
    assert megabytes({**products, "trained": None}, "model") == "- / 4.00 / 2.00 / 1.00"
