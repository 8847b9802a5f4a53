"""``fairseq-alone plot``: the right curves, a real picture, and clear errors."""

import json
import sys

import pytest

from fairseq_alone.cli import main, plot

pytest.importorskip("matplotlib")


def make_run(folder, losses, smoothing=0):
    """A run whose validations have these cross-entropies; the loss is higher by ``smoothing``."""
    folder.mkdir(parents=True)
    lines = []
    for epoch, loss in enumerate(losses, start=1):
        valid = {"epoch": epoch, "valid_loss": str(loss + smoothing), "valid_ppl": str(2**loss)}
        valid["valid_num_updates"] = 100 * epoch
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
    # No report of these runs has a cross-entropy; it follows from the perplexity.
    assert axes.get_ylabel() == "validation cross-entropy (bits per token)"
    assert axes.get_title() == "Validation cross-entropy against updates"
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


@pytest.mark.parametrize(
    ("y", "expected", "label"),
    [
        ("loss", [3.5, 2.5], "training objective on the validation set (base 2)"),
        ("nll", [3.0, 2.0], "validation cross-entropy (bits per token)"),
        ("ppl", [8.0, 4.0], "validation perplexity (per token)"),
    ],
)
def test_the_axis_says_what_it_shows(y, expected, label, tmp_path, drawn, capsys):
    run_dir = make_run(tmp_path / "run", [3.0, 2.0], smoothing=0.5)
    assert main(["plot", run_dir, "--output", str(tmp_path / "curve.png"), "--y", y, "--title", ""]) == 0
    [figure] = drawn
    assert lines_of(figure) == {"run": ([100, 200], expected)}
    assert figure.axes[0].get_ylabel() == label
    assert figure.axes[0].get_title() == ""
    assert f"curve.png: {label} against updates, 1 curve\n" in capsys.readouterr().out


def test_runs_that_tell_the_loss_only_are_plotted_by_the_loss(tmp_path, drawn, capsys):
    saved = (
        "INFO | fairseq.checkpoint_utils | Saved checkpoint c.pt (epoch 1 @ 7 updates, score 3.5) (writing took 1 s)"
    )
    (tmp_path / "silent.log").write_text(saved)
    paths = [make_run(tmp_path / "run", [3.0, 2.0], smoothing=0.5), str(tmp_path / "silent.log")]
    assert main(["plot", *paths, "--output", str(tmp_path / "curve.png")]) == 0
    [figure] = drawn
    assert lines_of(figure) == {"run": ([100, 200], [3.5, 2.5]), "silent.log": ([7], [3.5])}
    assert "training objective" in figure.axes[0].get_ylabel()
    for flag in ("--y=ppl", "--x=hours"):
        assert main(["plot", *paths, "--output", str(tmp_path / "other.png"), flag]) == 1
        assert f"{flag.replace('=', ' ')}: {paths[1]} does not tell" in capsys.readouterr().err
    assert not (tmp_path / "other.png").exists()


@pytest.mark.parametrize(
    ("losses", "flags", "scale"),
    [
        ([10.0, 5.0, 4.5, 4.4], [], "log"),  # a perplexity of 1024, then 32 and less
        ([10.0, 5.0, 4.5, 4.4], ["--linear"], "linear"),
        ([3.0, 2.8, 2.6, 2.4], [], "linear"),
        ([3.0, 2.8, 2.6, 2.4], ["--log-scale"], "log"),
        ([3.0], [], "linear"),
    ],
)
def test_a_first_epoch_does_not_flatten_the_rest(losses, flags, scale, tmp_path, drawn):
    run_dir = make_run(tmp_path / "run", losses)
    assert main(["plot", run_dir, "--output", str(tmp_path / "curve.png"), "--y", "ppl", *flags]) == 0
    assert drawn[0].axes[0].get_yscale() == scale
    assert len(labels(drawn[0].axes[0].yaxis)) >= 3


def labels(axis):
    """The labels in sight, as they are printed."""
    axis.get_figure().canvas.draw()
    low, high = axis.get_view_interval()
    ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
    return [text.get_text() for position, text in ticks if low <= position <= high]


@pytest.mark.parametrize(("x", "losses"), [("epochs", [3.0, 2.0]), ("epochs", [3.0]), ("updates", [3.0])])
def test_updates_and_epochs_are_whole_numbers(x, losses, tmp_path, drawn):
    run_dir = make_run(tmp_path / "run", losses)
    assert main(["plot", run_dir, "--output", str(tmp_path / "curve.png"), "--x", x]) == 0
    [figure] = drawn
    shown = labels(figure.axes[0].xaxis)
    assert shown == [str(int(text)) for text in dict.fromkeys(shown)]


def test_a_point_alone_is_seen(tmp_path, drawn):
    run_dir = make_run(tmp_path / "run", [3.0])
    assert main(["plot", run_dir, "--output", str(tmp_path / "curve.png")]) == 0
    (line,) = drawn[0].axes[0].get_lines()
    assert line.get_marker() not in ("", "None")
    assert line.get_markersize() > 5


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
        ([str(tmp_path / "none"), "--output", str(tmp_path / "curve.png")], "none: there is no such file or folder"),
    ]
    for arguments, sentence in cases:
        assert main(["plot", *arguments]) == 1
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "curve.png").exists()
