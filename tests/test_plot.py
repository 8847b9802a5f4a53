"""``fairseq-alone plot``: the right curves, a real picture, and clear errors."""

import json
import sys

import pytest

from fairseq_alone.cli import main, plot

pytest.importorskip("matplotlib")


def make_run(folder, losses):
    folder.mkdir(parents=True)
    lines = []
    for epoch, loss in enumerate(losses, start=1):
        valid = {"epoch": epoch, "valid_loss": str(loss), "valid_ppl": str(2**loss), "valid_num_updates": 100 * epoch}
        train = {"epoch": epoch, "train_num_updates": 100 * epoch, "train_train_wall": "1800"}
        lines += [json.dumps(valid), json.dumps(train)]
    (folder / "train.log").write_text("\n".join(lines))
    return str(folder)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that plot draws."""
    figures = []
    draw = plot.draw

    def keep(*args):
        figures.append(draw(*args))
        return figures[-1]

    monkeypatch.setattr(plot, "draw", keep)
    return figures


def lines_of(figure):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in figure.axes[0].get_lines()}


def test_one_line_for_each_run_and_a_png(tmp_path, drawn):
    runs = [make_run(tmp_path / "conventional", [5.0, 4.0]), make_run(tmp_path / "alone_real", [5.5, 4.5, 4.0])]
    output = tmp_path / "curve.png"
    assert main(["plot", *runs, "--output", str(output)]) == 0
    assert output.read_bytes().startswith(b"\x89PNG")
    [figure] = drawn
    assert lines_of(figure) == {
        "conventional": ([100, 200], [5.0, 4.0]),
        "alone_real": ([100, 200, 300], [5.5, 4.5, 4.0]),
    }
    axes = figure.axes[0]
    assert axes.get_xlabel() == "updates"
    assert "validation loss" in axes.get_ylabel()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["conventional", "alone_real"]
    assert axes.get_yscale() == "linear"


def test_many_names_stand_beside_the_curves(tmp_path, drawn):
    runs = [make_run(tmp_path / f"run{number}", [5.0, 4.0]) for number in range(6)]
    assert main(["plot", *runs, "--output", str(tmp_path / "curve.png")]) == 0
    [figure] = drawn
    figure.canvas.draw()
    assert figure.axes[0].get_legend() is None
    (legend,) = figure.legends
    assert legend.get_window_extent().x0 > figure.axes[0].get_window_extent().x1


@pytest.mark.parametrize(("x", "expected"), [("epochs", [1, 2]), ("hours", [0.5, 1.0]), ("updates", [100, 200])])
def test_axes_and_scale(x, expected, tmp_path, drawn):
    run_dir = make_run(tmp_path / "run", [3.0, 2.0])
    flags = ["--x", x, "--y", "ppl", "--log-scale", "--title", "Figure"]
    assert main(["plot", run_dir, "--output", str(tmp_path / "curve.svg"), *flags]) == 0
    [figure] = drawn
    assert lines_of(figure) == {"run": (expected, [8.0, 4.0])}
    assert figure.axes[0].get_yscale() == "log"
    assert figure.axes[0].get_title() == "Figure"
    assert "<svg" in (tmp_path / "curve.svg").read_text()


def test_missing_matplotlib_is_one_sentence(tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # the import then fails, as if it were not installed
    run_dir = make_run(tmp_path / "run", [3.0])
    assert main(["plot", run_dir, "--output", str(tmp_path / "curve.png")]) == 1
    assert "plot needs matplotlib; install it with" in capsys.readouterr().err
    assert not (tmp_path / "curve.png").exists()


def test_bad_input_is_named(tmp_path, capsys):
    run_dir = make_run(tmp_path / "run", [3.0])
    (tmp_path / "fresh").mkdir()
    report = {"epoch": 1, "train_num_updates": 1, "train_train_wall": "1"}
    (tmp_path / "fresh" / "train.log").write_text(json.dumps(report))
    cases = [
        ([run_dir, "--output", str(tmp_path / "curve.txt")], "--output must end in .pdf, .png, .svg"),
        ([run_dir, "--output", str(tmp_path / "no" / "curve.png")], "there is no folder"),
        ([str(tmp_path / "fresh"), "--output", str(tmp_path / "curve.png")], "holds no validation yet"),
        ([str(tmp_path / "none"), "--output", str(tmp_path / "curve.png")], "none: there is no such folder"),
    ]
    for arguments, sentence in cases:
        assert main(["plot", *arguments]) == 1
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "curve.png").exists()
