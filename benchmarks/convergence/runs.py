"""What finished runs showed, as records that outlive the machine they were made on."""

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

from settings import REGIMES

from fairseq_alone.cli.compare import read_run
from fairseq_alone.cli.training_log import read_training_log
from fairseq_alone.text_files import write_text


def run_name(regime: str, setting: str, epochs: int, seed: int) -> str:
    """The folder in WORK/runs."""
    return f"study-{regime}-{setting}-epochs{epochs}-seed{seed}"


@dataclass(frozen=True)
class Run:
    """One training.

    Args:
        regime, setting, epochs, seed: what was trained; no two runs of a record agree in all four.
        processor: the machine, in words. Runs of one seed on two machines differ by rounding.
        vocabulary: V.
        embedding_parameters: trained values of the embedding.
        perplexities: on the validation set, after each epoch.
        bleu: on the test set, by SacreBLEU; None if it was not translated.
        product_bytes: of the embedding and the whole model in each type of numbers, see
            :func:`~fairseq_alone.cli.product_bytes.product_bytes`; None in records from before it was kept.
    """

    regime: str
    setting: str
    epochs: int
    seed: int
    processor: str
    vocabulary: int
    embedding_parameters: int
    perplexities: tuple[float, ...]
    bleu: float | None
    product_bytes: dict[str, dict[str, int] | None] | None = None

    @property
    def name(self) -> str:
        """The folder in WORK/runs, and what tells runs apart."""
        return run_name(self.regime, self.setting, self.epochs, self.seed)

    @property
    def share(self) -> float:
        """Trained values of the embedding, those of the table V x D_e = 1."""
        return self.embedding_parameters / (self.vocabulary * REGIMES[self.regime].embed_dim)


def read_finished(work: Path, regime: str, setting: str, epochs: int, seed: int, vocabulary: int) -> Run | None:
    """The record of a run in WORK/runs, or None if it is not done."""
    folder = work / "runs" / run_name(regime, setting, epochs, seed)
    if not (folder / "done").exists():
        return None
    facts = read_run(str(folder))
    return Run(
        regime,
        setting,
        epochs,
        seed,
        processor=_processor(),
        vocabulary=vocabulary,
        embedding_parameters=facts["embedding_parameters"],
        perplexities=tuple(v.ppl for v in read_training_log(str(folder / "train.log")).validations),
        bleu=None if facts["BLEU"] is None else facts["BLEU"]["score"],
        product_bytes=facts["product_bytes"],
    )


def read_record(path: Path) -> dict[str, Run]:
    """Runs by name; none if there is no such file."""
    if not path.exists():
        return {}
    runs = [Run(**{**run, "perplexities": tuple(run["perplexities"])}) for run in json.loads(path.read_text())]
    return {run.name: run for run in runs}


def write_record(path: Path, runs: dict[str, Run]) -> None:
    """Write runs sorted by name, one on a line, so that a record kept in git has readable differences."""
    lines = ",\n".join(json.dumps(asdict(runs[name])) for name in sorted(runs))
    write_text(str(path), f"[\n{lines}\n]\n")


def _processor() -> str:
    # Linux names the processor here, but not on every architecture.
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
