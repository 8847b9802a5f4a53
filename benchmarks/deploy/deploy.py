"""What a trained model costs in each form that it can be shipped in: bytes, quality, speed, memory, time to load.

    python benchmarks/deploy/deploy.py WORK [--corpus FOLDER] [--json FILE] [--picture FILE]

WORK: Multi30k as `fairseq-alone prepare WORK CORPUS` leaves it; with --corpus it is prepared if it is not there. Three
256-dimensional models are trained there if they are not: a table, and ALONE with half and with a quarter of its size.
Every form of every model translates the test set in a process of its own, on one thread, with beam 4.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from forms import FORMS, Form, model_bytes, write
from picture import draw
from tqdm import tqdm

from fairseq_alone.cli.markdown import markdown_table
from fairseq_alone.cli.score import corpus_scores
from fairseq_alone.inference.opening import open_model
from fairseq_alone.inference.text_pipeline import TextPipeline
from fairseq_alone.inference.trained_model import TrainedModel
from fairseq_alone.modules.compact_file import compact_bytes
from fairseq_alone.text_files import read_lines, write_json

HERE = Path(__file__).parent

#: Each model: its run, its title, and what `fairseq-alone train` needs.
MODELS = {
    "table": ("a table", ["--embedding", "conventional"]),
    "share50": ("ALONE, share 0.5", ["--share", "0.5"]),
    "share25": ("ALONE, share 0.25", ["--share", "0.25"]),
}

_SIDES = {"embed-dim": 256, "ffn-embed-dim": 512, "layers": 3, "attention-heads": 4}
_SHAPE = [
    word for side in ("encoder", "decoder") for name, size in _SIDES.items() for word in (f"--{side}-{name}", size)
]
_TRAINING = ["--max-epoch", 6, "--cpu", "--quiet", "--", *_SHAPE, "--lr", 0.002]

#: Batches that are timed; one sentence at a time only where the search differs.
_BATCH, _ALONE = 32, 1
_TIMED_ALONE = ("checkpoint", "ct2-float32", "ct2-int8", "ct2-cut")


def command(*words: object) -> None:
    """Run `fairseq-alone WORDS` on one thread; a failure ends the benchmark with the end of its output."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "fairseq_alone", *map(str, words)]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"deploy.py: error: {' '.join(line)}\n{(done.stdout + done.stderr).strip()[-2000:]}")


def train(work: Path, corpus: Path | None) -> None:
    """Prepare, train and average what is missing."""
    if corpus is not None:
        command("prepare", work, corpus)
    for run, (_, flags) in MODELS.items():
        command("train", work, run, "--start", "random", *flags, *_TRAINING)
        command("evaluate", work, run, "--cpu")


def measure(form: Form, path: Path, sources: Path, data: Path, batch: int) -> dict:
    """Call `measure.py`."""
    words = [form.engine, path, sources, "--batch", batch]
    words += ["--data", data] if form.engine == "fairseq-generate" else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    line = [sys.executable, HERE / "measure.py", *words]
    done = subprocess.run(list(map(str, line)), env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"deploy.py: error: {form.title}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)


def rows_of_model(work: Path, run: str, names: list[str], folder: Path, bar: tqdm) -> list[dict]:
    """Some forms of one model; what is the same is counted against the first."""
    trained = open_model(str(work / "runs" / run))
    pipeline = TextPipeline(trained.text, run)
    langs = trained.text.source_lang, trained.text.target_lang
    source, reference = (read_lines(str(work / "clean" / f"test.{lang}")) for lang in langs)
    sources = folder / "sources"
    sources.write_text("".join(f"{pipeline.encode(line)}\n" for line in source), encoding="utf-8")
    rows: list[dict] = []
    for name in names:
        form = FORMS[name]
        bar.set_description(f"{run}: {name}")
        path = write(trained, form, folder / name) if form.target else work / "runs" / run / "averaged.pt"
        found = measure(form, path, sources, work / "data-bin", _BATCH)
        hypotheses = [pipeline.decode(units) for units in found["units"]]
        scores = corpus_scores(hypotheses, reference)
        first = rows[0]["hypotheses"] if rows else hypotheses
        rows.append(
            {
                "model": run,
                "form": name,
                "bytes": model_bytes(path),
                "embedding_bytes": embedding_bytes(trained, form, path),
                "table_bytes": table_bytes(trained),
                "BLEU": scores["BLEU"]["score"],
                "chrF": scores["chrF"]["score"],
                "signature": scores["BLEU"]["signature"],
                "same_hypotheses": sum(map(str.__eq__, hypotheses, first)),
                "sentences_per_second": len(source) / found["decode_seconds"],
                "load_seconds": found["load_seconds"],
                "peak_bytes": found["peak_bytes"],
                "hypotheses": hypotheses,
            }
        )
        if name in _TIMED_ALONE:
            alone = measure(form, path, sources, work / "data-bin", _ALONE)
            rows[-1]["sentences_per_second_alone"] = len(source) / alone["decode_seconds"]
        bar.update()
    for row in rows:
        del row["hypotheses"]
    return rows


def embedding_bytes(trained: TrainedModel, form: Form, path: Path) -> int | None:
    """Of a compact file; other forms do not tell."""
    if form.target != "compact":
        return None
    return compact_bytes(str(path))["embedding"]


def table_bytes(trained: TrainedModel) -> int:
    """Of the float32 table that this embedding stands for: one, as the models here are tied three ways."""
    model: Any = trained.model
    return 4 * model.decoder.output_projection.weight.numel()


def table(rows: list[dict]) -> str:
    """Markdown: one row for each form of each model. The embedding's size is that of the float32 table = 1."""
    lines = [
        ["model", "form", "MB", "embedding", "BLEU", "chrF", "same", "sentences/s, 32", "1", "load, s", "memory, MB"]
    ]
    for row in rows:
        alone = row.get("sentences_per_second_alone")
        lines.append(
            [
                MODELS[row["model"]][0],
                FORMS[row["form"]].title,
                f"{row['bytes'] / 1e6:.2f}",
                f"{row['embedding_bytes'] / row['table_bytes']:.4f}" if row["embedding_bytes"] else "",
                f"{row['BLEU']:.2f}",
                f"{row['chrF']:.2f}",
                f"{row['same_hypotheses']:,}",
                f"{row['sentences_per_second']:.0f}",
                "" if alone is None else f"{alone:.0f}",
                f"{row['load_seconds']:.2f}",
                f"{row['peak_bytes'] / 1e6:.0f}",
            ]
        )
    return markdown_table(lines, left_aligned=2)


def main() -> None:
    """Train what is missing, measure, print the table, write the record and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder that fairseq-alone prepare wrote")
    parser.add_argument("--corpus", type=Path, help="Multi30k, to prepare WORK if it is not there")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw BLEU against MB, as PNG")
    args = parser.parse_args()
    train(args.work, args.corpus)
    rows: list[dict] = []
    with tqdm(total=len(args.models) * len(args.forms), unit="form", disable=None) as bar:
        for run in args.models:
            with tempfile.TemporaryDirectory() as folder:
                rows += rows_of_model(args.work, run, args.forms, Path(folder), bar)
    print(f"{processor()}, one thread, Python {platform.python_version()}, {rows[0]['signature']}")
    print(table(rows))
    if args.json:
        write_json(str(args.json), {"processor": processor(), "rows": rows})
    if args.picture:
        titles = {name: title for name, (title, _) in MODELS.items()}
        draw(rows, titles, {name: form.title for name, form in FORMS.items()}, args.picture)


def processor() -> str:
    """In words, where Linux tells."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


if __name__ == "__main__":
    main()
