"""A matplotlib figure that needs no screen."""

import logging

from fairseq_alone.errors import UserError


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
