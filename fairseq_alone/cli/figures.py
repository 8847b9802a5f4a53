"""Matplotlib figures that need no screen."""

import logging

from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success


def new_figure(height: float):
    """A figure, 7 inches wide, and its axes.

    Raises:
        UserError: matplotlib is not installed.
    """
    # fairseq lets every library's debugging messages through to the screen; matplotlib has one for each font.
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    try:
        # The classes without pyplot: no global state, and no window system is looked for.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("a plot needs matplotlib; install it with: pip install 'fairseq-alone[plot]'") from None
    figure = Figure(figsize=(7, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def set_log_scale(axes, labels: tuple[float, ...]) -> None:
    """Make the vertical axis logarithmic, with plain numbers at these multiples of the powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=labels))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())


def save_figure(figure, path: str, picture_format: str = "png") -> None:
    """Write a figure, whole or not at all."""
    with replaced_on_success(path) as part:
        figure.savefig(part, format=picture_format, dpi=150)
