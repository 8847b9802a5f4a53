"""ROUGE as in DUC 2004 task 1 of the headlines that ``generate`` wrote, and how well the lengths were kept.

======== =====================================================================================================
lead     the first bytes of the source, as many as the desired length: the baseline of DUC 2004
first    the model's own choice
reranked after re-ranking
======== =====================================================================================================

In pieces of SentencePiece, a desired length is a number that no number of characters answers to: then it stands in the
name of the row, without a lead, a variance or a picture.
"""

import contextlib
import io
from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success
from fairseq_alone.recipes.evaluate_options import EvaluateOptions
from fairseq_alone.recipes.generate_headlines import FREE
from fairseq_alone.recipes.run_folder import RunFolder
from fairseq_alone.recipes.tools import tool
from fairseq_alone.recipes.values import whole
from fairseq_alone.recipes.work_folder import WorkFolder


def evaluate_headlines(work: WorkFolder, run: RunFolder, options: EvaluateOptions) -> None:
    """Print the table, and write headline_scores.json, headline_scores.md and lengths.png.

    Raises:
        UserError: a length is missing, or the lengths were not made alike.
    """
    folder = run.path / "headlines"
    # A length is done when its settings are there.
    done = sorted((path.stem for path in folder.glob("*.settings")), key=lambda name: (name == FREE, name.zfill(9)))
    lengths = options.lengths or done
    if not lengths:
        raise UserError(f"{folder} has no headlines; run fairseq-alone generate first")
    by_characters = work.settings["TARGET_UNITS"] == "characters"
    headlines = []
    for length in lengths:
        _require_alike(folder, lengths[0], length)
        desired, row = length, ""
        if not by_characters and length != FREE:
            desired = FREE
            row = " (as many pieces as the reference)" if length == "0" else f" ({length} pieces)"
        for name in ("first", "reranked"):
            headlines += ["--headlines", f"{name}{row}", desired, folder / f"{length}.{name}"]
    pattern = f"test.{work.target_lang}."
    references = sorted(work.path.glob(f"references/{pattern}*"), key=lambda path: int(path.name.removeprefix(pattern)))
    if not references:
        raise UserError(f"{work.path}/references is empty; run fairseq-alone prepare again")
    arguments = [*headlines, "--source", work.path / "clean" / f"test.{work.source_lang}", "--references", *references]
    bytes_seen = whole("--bytes", work.preset()["bytes"] if options.bytes is None else options.bytes)
    arguments += ["--bytes", bytes_seen, "--output", run.path / "headline_scores.json"]
    if by_characters:
        arguments += ["--plot", run.path / "lengths.png", "--plot-name", "reranked"]
    if options.json:
        tool("score-headlines", *arguments, "--json")
        return
    table = io.StringIO()
    with contextlib.redirect_stdout(table):
        tool("score-headlines", *arguments)
    print(table.getvalue(), end="")
    with replaced_on_success(str(run.path / "headline_scores.md")) as part:
        Path(part).write_text(table.getvalue(), encoding="utf-8")


def _require_alike(folder: Path, first: str, length: str) -> None:
    settings = [folder / f"{name}.settings" for name in (first, length)]
    for name, file in zip((first, length), settings, strict=True):
        if not file.is_file():
            raise UserError(f"{file} is missing; run fairseq-alone generate --lengths {name} first")
    if settings[0].read_bytes() != settings[1].read_bytes():
        raise UserError(
            f"the headlines of the lengths {first} and {length} come from other checkpoints or flags; run "
            "fairseq-alone generate for both, or choose with --lengths"
        )
