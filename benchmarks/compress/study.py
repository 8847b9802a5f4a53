"""One trained model, compressed in many ways alike: BLEU against the bytes of the whole model.

    python benchmarks/compress/study.py WORK RUN [--epochs 1] [--settings NAME ...]

WORK/runs/RUN is a run of the recipe for translation with a table. Each setting is one call of `fairseq-alone compress`
with the same teacher, the same fine-tuning and a compact file at the end; its outcome is in WORK/runs/RUN-SETTING, so
an interrupted study goes on. Writes WORK/study/compress-RUN.md, .png and .json.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from fairseq_alone.cli.figures import new_figure, save_figure
from fairseq_alone.cli.markdown import markdown_table
from fairseq_alone.text_files import write_text


@dataclass(frozen=True)
class Setting:
    """A smaller embedding.

    Args:
        family: as `compress` calls it.
        share: its trained values, those of the table = 1.
        bits: of its numbers; all else is in 8.
    """

    family: str
    share: float
    bits: int

    @property
    def name(self) -> str:
        """The end of the run's name."""
        return f"{self.family}-{self.share:g}-int{self.bits}"

    @property
    def series(self) -> str:
        """What belongs to one line of the picture."""
        return f"{'table' if self.family == 'conventional' else self.family}, int{self.bits}"


SETTINGS = {
    setting.name: setting
    for setting in (
        *(Setting("conventional", 1, bits) for bits in (8, 4)),
        *(Setting("codes", share, bits) for bits in (8, 4) for share in (0.5, 0.25, 0.14, 0.0625)),
        *(Setting("factorized", share, bits) for bits in (8, 4) for share in (0.5, 0.25, 0.14)),
        *(Setting("tensor_product", share, 4) for share in (0.25,)),
        *(Setting("alone", share, 4) for share in (0.25,)),
    )
}


def compress(work: Path, run: str, setting: Setting, epochs: int) -> dict | None:
    """What was measured of one setting, see ``compression/measure.py``; None, with a sentence, where it failed."""
    output = work / "runs" / f"{run}-{setting.name}"
    command = [sys.executable, "-m", "fairseq_alone", "compress", str(work / "runs" / run), str(work / "data-bin")]
    command += ["--family", setting.family, "--share", str(setting.share), "--bits", str(setting.bits)]
    command += ["--epochs", str(epochs), "--output", str(output), "--score", "--quiet", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{setting.name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return json.loads(done.stdout)


def table(found: dict[str, dict]) -> str:
    """Markdown, the smallest model first; the teacher in fp32 is the first row."""
    teacher = next(iter(found.values()))["models"]["teacher"]
    rows = [["embedding", "embedding, bytes", "model, bytes", "valid ppl", "BLEU", "BLEU before fine-tuning"]]
    rows.append(_row("the teacher, a table in fp32", teacher, None))
    for name, figures in sorted(found.items(), key=lambda item: item[1]["models"]["stored"]["model_bytes"]):
        rows.append(_row(name, figures["models"]["stored"], figures["models"]["start"]))
    return markdown_table(rows, left_aligned=1)


def _row(name: str, model: dict, start: dict | None) -> list[str]:
    sizes = [f"{model[size]:,}" for size in ("embedding_bytes", "model_bytes")]
    before = "" if start is None else f"{start['bleu']:.2f}"
    return [name, *sizes, f"{model['valid_ppl']:.3f}", f"{model['bleu']:.2f}", before]


def draw(found: dict[str, dict], path: Path) -> None:
    """BLEU against the bytes of the whole model, one line a method; the teacher's BLEU as a dashed line."""
    figure, axes = new_figure(height=4.5)
    series: dict[str, list[tuple[float, float]]] = {}
    for name, figures in found.items():
        stored = figures["models"]["stored"]
        series.setdefault(SETTINGS[name].series, []).append((stored["model_bytes"] / 1e6, stored["bleu"]))
    for (title, points), marker in zip(series.items(), "os^DvP*Xh", strict=False):
        axes.plot(*zip(*sorted(points), strict=True), marker=marker, label=title)
    teacher = next(iter(found.values()))["models"]["teacher"]
    axes.axhline(teacher["bleu"], color="gray", linestyle="--")
    axes.annotate(
        f"the teacher in fp32, {teacher['model_bytes'] / 1e6:.2f} MB",
        (0.02, teacher["bleu"]),
        xycoords=("axes fraction", "data"),
        va="bottom",
        fontsize=8,
    )
    axes.set_xlabel("MB of the whole model as a compact file; all but the embedding in int8")
    axes.set_ylabel("BLEU")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    save_figure(figure, str(path))


def main() -> None:
    """Compress what is missing, then write the table, the figures and the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("work", type=Path, metavar="WORK", help="folder that fairseq-alone prepare wrote")
    parser.add_argument("run", metavar="RUN", help="the teacher, in WORK/runs")
    parser.add_argument("--epochs", type=int, default=1, help="of fine-tuning")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS), metavar="NAME")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args()
    found = {}
    for name in tqdm(args.settings, unit="setting", disable=args.quiet or not sys.stderr.isatty()):
        figures = compress(args.work, args.run, SETTINGS[name], args.epochs)
        if figures is not None:
            found[name] = figures
    if not found:
        sys.exit("study.py: error: no setting could be measured")
    folder = args.work / "study"
    folder.mkdir(parents=True, exist_ok=True)
    text = table(found)
    write_text(str(folder / f"compress-{args.run}.json"), json.dumps(found, indent=1) + "\n")
    write_text(str(folder / f"compress-{args.run}.md"), text + "\n")
    draw(found, folder / f"compress-{args.run}.png")
    print(text)


if __name__ == "__main__":
    main()
