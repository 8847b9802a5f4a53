"""``fairseq-alone plot``: validation loss against updates, one line for each run (the paper's Figure 4)."""

import argparse
import os
from typing import TYPE_CHECKING

from fairseq_alone.cli.figures import linear_axis_flattens, new_figure, save_figure, set_log_scale
from fairseq_alone.cli.trained_run import RUN_HELP, find_run, finished, run_names
from fairseq_alone.cli.training_log import Validation
from fairseq_alone.errors import UserError
from fairseq_alone.files import require_apart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_X = {"updates": "updates", "epochs": "epochs", "hours": "hours of training"}
_Y = {
    "loss": ("training objective on the validation set", "base 2"),
    "nll": ("validation cross-entropy", "bits per token"),
    "ppl": ("validation perplexity", "per token"),
}
# Where the attribute of a Validation has another name.
_ATTRIBUTES = {"updates": "update", "epochs": "epoch"}
_WHOLE_NUMBERS = ("updates", "epochs")
_FORMATS = ("pdf", "png", "svg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``plot``."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--output", required=True, metavar="FILE", help="picture to write: .png, .svg or .pdf")
    parser.add_argument("--x", choices=sorted(_X), default="updates", help="horizontal axis; default: updates")
    parser.add_argument(
        "--y",
        choices=sorted(_Y),
        help="vertical axis: nll, the cross-entropy in bits per token; ppl, the perplexity, which follows from it; or "
        "loss, what is trained, which label smoothing and the augmented loss are part of; default: nll, or loss where "
        "a run does not tell",
    )
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--log-scale", action="store_true", default=None, help="logarithmic vertical axis")
    scale.add_argument(
        "--linear",
        dest="log_scale",
        action="store_false",
        help="linear vertical axis; default: logarithmic if the first validation would flatten the rest",
    )
    parser.add_argument(
        "--title", metavar="TEXT", help="title above the picture; default: what is plotted; '' for none"
    )


def run(args: argparse.Namespace) -> None:
    """Draw and write the picture."""
    picture_format = os.path.splitext(args.output)[1].lstrip(".").lower()
    if picture_format not in _FORMATS:
        raise UserError(f"--output must end in .{', .'.join(_FORMATS)}, got {args.output}")
    runs = list(zip(run_names(args.runs), map(find_run, args.runs), strict=True))
    require_apart([("--output", args.output)], [path for _, one in runs for path in one.files])
    names, histories = [], {}
    for name, one, history in finished(runs):
        names.append(name)
        histories[one.path] = history.validations
        if not histories[one.path]:
            raise UserError(f"{one.path}: holds no validation yet; there is nothing to plot")
    y = args.y or _usual_y(histories)
    curves = [
        (name, *_points(path, validations, args.x, y))
        for name, (path, validations) in zip(names, histories.items(), strict=True)
    ]

    what, unit = _Y[y]
    title = f"{what[0].upper()}{what[1:]} against {args.x}" if args.title is None else args.title
    figure = draw(curves, _X[args.x], f"{what} ({unit})", args.log_scale, title)
    save_figure(figure, args.output, picture_format)
    print(f"{args.output}: {what} ({unit}) against {args.x}, {len(curves)} curve{'s' if len(curves) > 1 else ''}")


def _usual_y(histories: dict[str, list[Validation]]) -> str:
    known = all(validation.nll is not None for validations in histories.values() for validation in validations)
    return "nll" if known else "loss"


def _points(path: str, validations: list[Validation], x: str, y: str) -> tuple[list, list]:
    """The points that are known. Raises UserError when none is."""
    pairs = [[getattr(validation, _ATTRIBUTES.get(axis, axis)) for axis in (x, y)] for validation in validations]
    known = [pair for pair in pairs if None not in pair]
    if not known:
        flag = f"--x {x}" if all(pair[0] is None for pair in pairs) else f"--y {y}"
        raise UserError(f"{flag}: {path} does not tell; a log of --log-format json, simple or tqdm does")
    return [pair[0] for pair in known], [pair[1] for pair in known]


def draw(
    curves: list[tuple[str, list, list]], x_label: str, y_label: str, log_scale: bool | None, title: str | None
) -> "Figure":
    """A matplotlib figure with one line for each ``(name, xs, ys)``. Needs no screen.

    Args:
        curves: the lines.
        x_label, y_label: what the axes show. ``updates`` and ``epochs`` are whole numbers.
        log_scale: None chooses a logarithmic axis where the first points would flatten the others on a linear one.
        title: None or empty for none.

    Raises:
        UserError: matplotlib is not installed.
    """
    figure, axes = new_figure(height=4.5)
    markers = "osD^vP*X"
    for number, (name, xs, ys) in enumerate(curves):
        # Markers tell the lines apart in black and white, too. A point alone is all there is to see of its line.
        axes.plot(
            xs,
            ys,
            label=name,
            linewidth=1.5,
            marker=markers[number % len(markers)],
            markersize=4 if len(xs) > 1 else 7,
            markevery=max(1, len(xs) // 25),
        )
    if log_scale is None:
        log_scale = linear_axis_flattens([y for _, _, ys in curves for y in ys])
    if log_scale:
        # Labels at 1, 2 and 5 only, so that they never overlap.
        set_log_scale(axes, (1, 2, 5))
    if x_label in _WHOLE_NUMBERS:
        positions = {x for _, xs, _ in curves for x in xs}
        if len(positions) == 1:
            # Else there would be several ticks within one number.
            axes.set_xlim(min(positions) - 1, max(positions) + 1)
        axes.locator_params(axis="x", integer=True)
        axes.xaxis.set_major_formatter("{x:,.0f}")
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
