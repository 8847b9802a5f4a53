"""Matplotlib figures that need no screen."""

import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Locator


def new_figure(height: float) -> tuple["Figure", "Axes"]:
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
        raise UserError("a plot needs matplotlib; install it with: pip install matplotlib") from None
    figure = Figure(figsize=(7, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def set_log_scale(axes: "Axes", labels: tuple[float, ...]) -> None:
    """Make the vertical axis logarithmic, with plain numbers at these multiples of the powers of ten.

    Where fewer than three of them are in sight, round numbers are labelled instead. Call it after drawing.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator, ScalarFormatter

    axes.set_yscale("log")
    locator: Locator = LogLocator(subs=labels)
    low, high = axes.get_ylim()
    if sum(low <= tick <= high for tick in locator.tick_values(low, high)) < 3:
        locator = MaxNLocator(6)
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(locator)
    formatter = ScalarFormatter(useOffset=False)
    formatter.set_scientific(False)
    axes.yaxis.set_major_formatter(formatter)
    axes.yaxis.set_minor_formatter(NullFormatter())


def linear_axis_flattens(values: list[float]) -> bool:
    """Whether the lower half of some values has less than a fifth of a linear axis, and a logarithmic one helps."""
    values = sorted(values)
    if values[0] <= 0:
        return False

    def share_of_lower_half(scale: Callable[[float], float]) -> float:
        low, middle, high = (scale(value) for value in (values[0], values[len(values) // 2], values[-1]))
        return (middle - low) / (high - low) if high > low else 1.0

    linear = share_of_lower_half(float)
    return linear < 1 / 5 and share_of_lower_half(math.log) > 1.5 * linear


def save_figure(figure: "Figure", path: str, picture_format: str = "png") -> None:
    """Write a figure, whole or not at all."""
    with replaced_on_success(path) as part:
        figure.savefig(part, format=picture_format, dpi=150)
