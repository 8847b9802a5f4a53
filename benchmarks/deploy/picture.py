"""The picture of the benchmark: BLEU against what is shipped."""

from pathlib import Path

from fairseq_alone.cli.figures import new_figure, save_figure

_MARKERS = "os^DvP*Xh"


def draw(rows: list[dict], models: dict[str, str], forms: dict[str, str], path: Path) -> None:
    """One colour for each model, one marker for each form.

    Args:
        rows: as ``deploy.py`` makes them.
        models: the titles of the models, by name.
        forms: the titles of the forms, by name.
        path: the PNG.
    """
    figure, axes = new_figure(height=4.5)
    markers = dict(zip(forms, _MARKERS, strict=True))
    colors = {name: f"C{number}" for number, name in enumerate(models)}
    for row in rows:
        place = row["bytes"] / 1e6, row["BLEU"]
        axes.plot(*place, linestyle="", marker=markers[row["form"]], color=colors[row["model"]], markersize=7)
    shown = {row["model"] for row in rows}
    for name, title in models.items():
        if name in shown:
            axes.plot([], [], color=colors[name], linewidth=5, label=title)
    for name, title in forms.items():
        axes.plot([], [], linestyle="", marker=markers[name], color="gray", label=title.replace("`", ""))
    axes.set_xlabel("MB as shipped")
    axes.set_ylabel("BLEU, Multi30k test set")
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="lower right")
    save_figure(figure, str(path))
