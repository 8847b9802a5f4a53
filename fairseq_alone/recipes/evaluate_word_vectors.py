"""What the vectors of a run are worth: Spearman's rho on scored pairs of words, of each embedding that it has."""

import contextlib
import io
import json
from pathlib import Path

from fairseq_alone.cli.similarity import pairs_table
from fairseq_alone.corpus.word_pairs import read_pairs
from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success
from fairseq_alone.recipes.checksum import cksum
from fairseq_alone.recipes.decode import file_state
from fairseq_alone.recipes.evaluate_options import EvaluateOptions
from fairseq_alone.recipes.run_folder import RunFolder
from fairseq_alone.recipes.scores import Scores
from fairseq_alone.recipes.steps import say
from fairseq_alone.recipes.tools import tool
from fairseq_alone.recipes.work_folder import WorkFolder

_PAIRS = "pairs="


def evaluate_word_vectors(work: WorkFolder, run: RunFolder, options: EvaluateOptions) -> None:
    """Write input.txt, output.txt where the model has such vectors, and scores.json; print the table.

    What was measured before of the same checkpoint stays, and is not measured again.

    Raises:
        UserError: there is no checkpoint, or no good file of pairs.
    """
    if not options.pairs:
        raise UserError("--pairs FILE ... is missing: scored pairs of words, a line 'WORD WORD SCORE'")
    for path in options.pairs:
        # A bad one is refused before the vectors are written, which takes longer.
        read_pairs(path, lower_case=True)
    for note in run.require_trained():
        say(note)
    checkpoint = f"checkpoint={file_state(run.last_checkpoint)}"
    rows, known = _measured_before(run, checkpoint)
    sums = {path: cksum(Path(path)) for path in options.pairs}
    wanted = [path for path in options.pairs if sums[path] not in known]
    if wanted:
        rows, known = _with(_measure(work, run, wanted, rows != []), [sums[path] for path in wanted], rows, known)
        scores = Scores(run, "\n".join([checkpoint, *(f"{_PAIRS}{one}" for one in known)]))
        scores.forget()
        with replaced_on_success(str(scores.scores)) as part:
            Path(part).write_text(json.dumps({"word_vectors": rows}, ensure_ascii=False) + "\n", encoding="utf-8")
        scores.finish()
    else:
        say(f"{run.path} is evaluated already")
    print(pairs_table(rows, None))


def _measured_before(run: RunFolder, checkpoint: str) -> tuple[list[dict], list[str]]:
    """The rows of scores.json, and the checksum of each file of pairs in them; nothing of another checkpoint."""
    file, scores = run.path / "evaluate.settings", run.path / "scores.json"
    lines = file.read_text().splitlines() if file.is_file() and scores.is_file() else []
    if not lines or lines[0] != checkpoint:
        return [], []
    return json.loads(scores.read_text(encoding="utf-8"))["word_vectors"], [
        line.removeprefix(_PAIRS) for line in lines[1:]
    ]


def _with(new: list[dict], new_sums: list[str], rows: list[dict], sums: list[str]) -> tuple[list[dict], list[str]]:
    """Add what is new; a file of the same name whose text has changed takes the place of the old one."""
    if not rows:
        return new, new_sums
    names = {one["name"] for one in new[0]["pairs"]}
    kept = [number for number, one in enumerate(rows[0]["pairs"]) if one["name"] not in names]
    joined = [
        {**row, "pairs": [*(row["pairs"][number] for number in kept), *added["pairs"]]}
        for row, added in zip(rows, new, strict=True)
    ]
    return joined, [*(sums[number] for number in kept), *new_sums]


def _measure(work: WorkFolder, run: RunFolder, pairs: list[str], are_written: bool) -> list[dict]:
    """The rows of the tool ``similarity``, one for each embedding, whose files are written if they are not there."""
    data = ("--data", work.path / "data-bin")
    embeddings = {"decoder": run.path / "input.txt"}
    if _has_output(run):
        embeddings["output"] = run.path / "output.txt"
    for embedding, file in embeddings.items():
        if not (are_written and file.is_file()):
            tool("vectors", run.last_checkpoint, *data, "--embedding", embedding, "--output", file)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        tool("similarity", *embeddings.values(), "--pairs", *pairs, "--lower-case", "--json")
    rows = json.loads(printed.getvalue())["vectors"]
    return [{**row, "path": Path(row["path"]).name} for row in rows]


def _has_output(run: RunFolder) -> bool:
    """Whether the model has rows of an output layer that are not those of the input."""
    settings = "\n".join(run.settings)
    return "model=cw " not in settings and "tie=decoder" not in settings
