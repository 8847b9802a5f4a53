"""``fairseq-alone evaluate``: score a run; and how it is for translation: average, translate, BLEU and chrF."""

import json
from argparse import Namespace
from dataclasses import dataclass, fields
from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success
from fairseq_alone.recipes.checksum import cksum
from fairseq_alone.recipes.decode import (
    average,
    checkpoint_lines,
    choose_checkpoints,
    decoding_lines,
    generate,
    tell_fewer,
)
from fairseq_alone.recipes.interruption import explained
from fairseq_alone.recipes.run_folder import RunFolder
from fairseq_alone.recipes.steps import count_lines, say
from fairseq_alone.recipes.tools import tool
from fairseq_alone.recipes.values import decimal, positive
from fairseq_alone.recipes.work_folder import WorkFolder, open_work

_DECODING = ("average", "beam", "lenpen", "sentences")

# What each recipe does not know.
_UNKNOWN = {
    "translation": ("context", "lengths", "bytes", "json", "pairs"),
    "headlines": ("average", "beam", "lenpen", "sentences", "context", "pairs"),
    "language_model": (*_DECODING, "lengths", "bytes", "json", "pairs"),
    "word_vectors": (*_DECODING, "lengths", "bytes", "json", "context"),
}


@dataclass(frozen=True)
class EvaluateOptions:
    """The flags of ``fairseq-alone evaluate``, whose help says what they mean; numbers may be text.

    Args:
        flags: of fairseq-generate, after all others.
    """

    average: str | None = None
    beam: str | None = None
    lenpen: str | None = None
    sentences: str | None = None
    lengths: list[str] | None = None
    bytes: str | None = None
    json: bool | None = None
    context: str | None = None
    pairs: list[str] | None = None
    cpu: bool = False
    flags: tuple[str, ...] = ()

    def require_known(self, recipe: str) -> None:
        """Raise UserError for a choice that a recipe does not have."""
        for name in _UNKNOWN[recipe]:
            if getattr(self, name) is not None:
                raise UserError(f"--{name} does not belong to the recipe {recipe}")
        if self.flags and recipe != "translation":
            raise UserError(f"evaluate takes no flags of fairseq in the recipe {recipe}, got {' '.join(self.flags)}")

    @classmethod
    def of_arguments(cls, args: Namespace) -> "EvaluateOptions":
        """From the arguments of the command, which have the same names."""
        return cls(**{field.name: getattr(args, field.name) for field in fields(cls)})


def evaluate(work: Path | str, name: str, options: EvaluateOptions) -> None:
    """Score a run; does nothing when nothing changed since the last time.

    Raises:
        UserError: bad input, there is no checkpoint, or a command failed.
    """
    folder = open_work(work)
    options.require_known(folder.recipe)
    run = RunFolder(folder.path, name)
    if folder.recipe == "headlines":
        from fairseq_alone.recipes.evaluate_headlines import evaluate_headlines as score
    elif folder.recipe == "language_model":
        from fairseq_alone.recipes.evaluate_language_model import evaluate_language_model as score
    elif folder.recipe == "word_vectors":
        from fairseq_alone.recipes.evaluate_word_vectors import evaluate_word_vectors as score
    else:
        score = _evaluate_translation
    with explained(lambda: f"{run.path} has no scores now; the same command begins anew."):
        score(folder, run, options)


class Scores:
    """scores.json of a run, and evaluate.settings, which says what it was made of.

    Args:
        run: the run.
        settings: text.
    """

    def __init__(self, run: RunFolder, settings: str):
        self.file, self.settings = run.path / "evaluate.settings", settings
        self.scores = run.path / "scores.json"

    @property
    def are_there(self) -> bool:
        """Whether they were made with the same settings."""
        return self.scores.is_file() and self.file.is_file() and self.file.read_text() == f"{self.settings}\n"

    def forget(self) -> None:
        """They must not outlive the checkpoint that they belong to."""
        for path in (self.file, self.scores):
            path.unlink(missing_ok=True)

    def finish(self) -> None:
        """The scores are written: say what they were made of."""
        with replaced_on_success(str(self.file)) as part:
            Path(part).write_text(f"{self.settings}\n")


def _evaluate_translation(work: WorkFolder, run: RunFolder, options: EvaluateOptions) -> None:
    for note in run.require_trained():
        say(note)
    preset = work.preset()
    wanted = positive("--average", options.average or preset["checkpoints"])
    chosen = choose_checkpoints(run, wanted)
    decoding = ["--beam", str(positive("--beam", options.beam or preset["beam"]))]
    decoding += ["--lenpen", decimal("--lenpen", options.lenpen or preset["lenpen"])]
    decoding += ["--max-sentences", str(positive("--sentences", options.sentences or preset["sentences"]))]
    decoding += options.flags
    source, reference = (work.path / "clean" / f"test.{lang}" for lang in (work.source_lang, work.target_lang))
    lines = [*decoding_lines(work, decoding), f"reference={cksum(reference)}", *checkpoint_lines(chosen)]
    scores = Scores(run, "\n".join(lines))
    if scores.are_there:
        say(f"{run.path} is evaluated already; nothing to do")
        found = json.loads(scores.scores.read_text(encoding="utf-8"))
        say(", ".join(f"{metric} {found[metric]['score']:.2f}" for metric in ("BLEU", "chrF")))
        return
    scores.forget()
    tell_fewer(chosen, wanted)
    averaged = average(run, chosen)
    say(f"translating {count_lines(reference)} sentences")
    device = ["--cpu"] if options.cpu else []
    generated = run.path / "generated.txt"
    generate(work, "translation", averaged, [*device, *decoding], generated, run.path / "generate.log")
    join = ["--subwords", work.settings["SUBWORDS"]]
    # prepare gives SentencePiece untokenised text, so there is nothing to detokenise.
    join += ["--no-detokenize"] if work.settings["SUBWORDS"] == "sentencepiece" else []
    texts = ["--generated", generated, "--reference", reference, "--source", source, "--target-lang", work.target_lang]
    outputs = ["--hypotheses", run.path / f"test.hyp.{work.target_lang}", "--output", scores.scores]
    tool("score", *texts, *join, *outputs)
    scores.finish()
