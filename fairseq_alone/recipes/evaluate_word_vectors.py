"""What the vectors of a run are worth: Spearman's rho on scored pairs of words, of each embedding that it has."""

import contextlib
import io
import json
from pathlib import Path

from fairseq_alone.cli.similarity import pairs_table
from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success
from fairseq_alone.recipes.checksum import cksum
from fairseq_alone.recipes.decode import file_state
from fairseq_alone.recipes.evaluate import EvaluateOptions, Scores
from fairseq_alone.recipes.run_folder import RunFolder
from fairseq_alone.recipes.steps import say
from fairseq_alone.recipes.tools import tool
from fairseq_alone.recipes.work_folder import WorkFolder


def evaluate_word_vectors(work: WorkFolder, run: RunFolder, options: EvaluateOptions) -> None:
    """Write input.txt, output.txt where the model has such vectors, and scores.json; print the table.

    Raises:
        UserError: there is no checkpoint, or no file of pairs.
    """
    if not options.pairs:
        raise UserError("--pairs FILE ... is missing: scored pairs of words, a line 'WORD WORD SCORE'")
    for path in options.pairs:
        if not Path(path).is_file():
            raise UserError(f"--pairs {path}: there is no such file")
    for note in run.require_trained():
        say(note)
    checkpoint = run.last_checkpoint
    lines = [f"checkpoint={file_state(checkpoint)}", *(f"pairs={cksum(Path(path))}" for path in options.pairs)]
    scores = Scores(run, "\n".join(lines))
    if scores.are_there:
        found = json.loads(scores.scores.read_text())["word_vectors"]
        say(f"{run.path} is evaluated already")
    else:
        scores.forget()
        found = _measure(work, run, options.pairs)
        with replaced_on_success(str(scores.scores)) as part:
            Path(part).write_text(json.dumps({"word_vectors": found}, ensure_ascii=False) + "\n", encoding="utf-8")
        scores.finish()
    print(pairs_table(found, None))


def _measure(work: WorkFolder, run: RunFolder, pairs: list[str]) -> list[dict]:
    """The rows of the tool ``similarity``, one for each embedding."""
    files = [run.path / "input.txt"]
    data = ("--data", work.path / "data-bin")
    tool("vectors", run.last_checkpoint, *data, "--embedding", "decoder", "--output", files[0])
    if _has_output(run):
        files.append(run.path / "output.txt")
        tool("vectors", run.last_checkpoint, *data, "--embedding", "output", "--output", files[1])
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        tool("similarity", *files, "--pairs", *pairs, "--lower-case", "--json")
    rows = json.loads(printed.getvalue())["vectors"]
    return [{**row, "path": Path(row["path"]).name} for row in rows]


def _has_output(run: RunFolder) -> bool:
    """Whether the model has rows of an output layer that are not those of the input."""
    settings = "\n".join(run.settings)
    return "model=cw " not in settings and "tie=decoder" not in settings
