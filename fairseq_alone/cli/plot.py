"""``fairseq-alone plot``: validation loss against updates, one line for each run (the paper's Figure 4)."""

import os

from fairseq_alone.cli.figures import new_figure, save_figure, set_log_scale
from fairseq_alone.cli.training_log import log_of_run, read_training_log, run_names
from fairseq_alone.errors import UserError
from fairseq_alone.files import require_apart

HELP = "plot validation loss or perplexity of runs against updates, epochs or hours"

_X = {
    "updates": ("updates", lambda validation: validation.update),
    "epochs": ("epochs", lambda validation: validation.epoch),
    "hours": ("hours of training", lambda validation: validation.hours),
}
_Y = {
    "loss": ("validation loss (bits per token)", lambda validation: validation.loss),
    "ppl": ("validation perplexity", lambda validation: validation.ppl),
}
_FORMATS = ("pdf", "png", "svg")


def add_arguments(parser) -> None:
    """Add the flags of ``plot``."""
    parser.add_argument("run_dirs", nargs="+", metavar="RUN_DIR", help="WORK_DIR/runs/RUN_NAME, as train left it")
    parser.add_argument("--output", required=True, metavar="FILE", help="picture to write: .png, .svg or .pdf")
    parser.add_argument("--x", choices=sorted(_X), default="updates", help="horizontal axis; default: updates")
    parser.add_argument("--y", choices=sorted(_Y), default="loss", help="vertical axis; default: loss")
    parser.add_argument("--log-scale", action="store_true", help="logarithmic vertical axis")
    parser.add_argument("--title", metavar="TEXT", help="title above the picture; default: none")


def run(args) -> None:
    """Draw and write the picture."""
    picture_format = os.path.splitext(args.output)[1].lstrip(".").lower()
    if picture_format not in _FORMATS:
        raise UserError(f"--output must end in .{', .'.join(_FORMATS)}, got {args.output}")
    require_apart([("--output", args.output)], map(log_of_run, args.run_dirs))
    (x_label, x_of), (y_label, y_of) = _X[args.x], _Y[args.y]
    curves = []
    for name, run_dir in zip(run_names(args.run_dirs), args.run_dirs, strict=True):
        validations = read_training_log(log_of_run(run_dir)).validations
        if not validations:
            raise UserError(f"{log_of_run(run_dir)}: holds no validation yet; there is nothing to plot")
        curves.append((name, [x_of(validation) for validation in validations], list(map(y_of, validations))))

    figure = draw(curves, x_label, y_label, args.log_scale, args.title)
    save_figure(figure, args.output, picture_format)
    print(f"{args.output}: {len(curves)} curves")


def draw(curves: list[tuple[str, list, list]], x_label: str, y_label: str, log_scale: bool, title: str | None):
    """A matplotlib figure with one line for each ``(name, xs, ys)``. Needs no screen.

    Raises:
        UserError: matplotlib is not installed.
    """
    figure, axes = new_figure(height=4.5)
    markers = "osD^vP*X"
    for number, (name, xs, ys) in enumerate(curves):
        # Markers tell the lines apart in black and white, too.
        axes.plot(xs, ys, label=name, marker=markers[number % len(markers)], markersize=4, linewidth=1.5)
    if log_scale:
        # Labels at 1, 2 and 5 only, so that they never overlap.
        set_log_scale(axes, (1, 2, 5))
    if x_label == "epochs":
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    if len(curves) > 5:
        # So many names would cover curves.
        figure.legend(loc="outside right upper")
    else:
        axes.legend()
    if title:
        axes.set_title(title)
    return figure
