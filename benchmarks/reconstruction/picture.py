"""The picture of the study: rho against D_inter, a panel for each set of word pairs, as the paper's Figure 3."""

import statistics
from typing import TYPE_CHECKING

from fairseq_alone.cli.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKERS = {("real", False): "o-", ("binary", False): "s-", ("real", True): "o:", ("binary", True): "s:"}


def draw(results: dict) -> "Figure":
    """Lines are means over the seeds, bars a standard deviation; the dashed line is that of the given vectors."""
    figure, axes = new_figure(height=4)
    figure.clf()
    figure.set_figwidth(4 * max(2, len(results["given"])))
    panels = figure.subplots(1, len(results["given"]), squeeze=False)[0]
    for axes, (name, given) in zip(panels, results["given"].items(), strict=True):
        axes.axhline(given["rho"], color="black", linestyle="--", linewidth=1, label="given vectors")
        for (kind, fix_base), style in _MARKERS.items():
            points: dict[int, list[float]] = {}
            for one in results["trainings"]:
                if (one["filter"], one["fix_base"]) == (kind, fix_base):
                    points.setdefault(one["inter_dim"], []).append(one["similarity"][name]["rho"])
            widths = sorted(points)
            if widths:
                axes.errorbar(
                    widths,
                    [statistics.mean(points[width]) for width in widths],
                    [statistics.stdev(points[width]) if len(points[width]) > 1 else 0 for width in widths],
                    fmt=style,
                    color="C0" if kind == "real" else "C1",
                    markersize=4,
                    capsize=2,
                    label=f"{kind}{', o fixed' if fix_base else ''}",
                )
        axes.set_title(f"{name}, {given['covered']} of {given['total']} pairs", fontsize=9)
        axes.set_xticks(sorted({one["inter_dim"] for one in results["trainings"]}))
        axes.set_xlabel("D_inter")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("Spearman's rho")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8)
    return figure
