"""``fairseq-alone generate``: headlines of the desired lengths for the test set, re-ranked.

In WORK/runs/RUN/headlines, for each length: ``LENGTH.generated`` (fairseq-generate's output, the n best of each
sentence), ``LENGTH.first`` (the model's own choice, one a line), ``LENGTH.reranked`` (of the n best, the one that
shares most content words with the source) and ``LENGTH.settings`` (how they were made).
"""

import re
from argparse import Namespace
from dataclasses import dataclass, fields
from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success
from fairseq_alone.recipes.decode import average, checkpoint_lines, choose_checkpoints, decoding_lines, generate
from fairseq_alone.recipes.fixed_flags import GENERATING_HEADLINES, refuse_fixed
from fairseq_alone.recipes.interruption import explained
from fairseq_alone.recipes.presets import Preset
from fairseq_alone.recipes.run_folder import RunFolder
from fairseq_alone.recipes.steps import count_lines, say
from fairseq_alone.recipes.tools import tool
from fairseq_alone.recipes.values import positive
from fairseq_alone.recipes.work_folder import open_work

#: A length that asks for none.
FREE = "free"


@dataclass(frozen=True)
class GenerateOptions:
    """The flags of ``fairseq-alone generate``, whose help says what they mean; numbers may be text.

    Args:
        flags: of fairseq-generate, after all others.
    """

    lengths: list[str] | None = None
    beam: str | None = None
    average: str | None = None
    sentences: str | None = None
    cpu: bool = False
    flags: tuple[str, ...] = ()

    @classmethod
    def of_arguments(cls, args: Namespace) -> "GenerateOptions":
        """From the arguments of the command, which have the same names."""
        return cls(**{field.name: getattr(args, field.name) for field in fields(cls)})


def generate_headlines(work: Path | str, name: str, options: GenerateOptions) -> None:
    """Write the headlines of each length; those whose settings and checkpoints are the same are skipped.

    Raises:
        UserError: bad input, there is no checkpoint, or fairseq-generate failed.
    """
    refuse_fixed(options.flags, GENERATING_HEADLINES)
    folder = open_work(work)
    if folder.recipe != "headlines":
        raise UserError(f"{folder.path} was prepared for the recipe {folder.recipe}; generate belongs to headlines")
    run = RunFolder(folder.path, name)
    for note in run.require_trained():
        say(note)
    preset = folder.preset()
    beam = str(positive("--beam", options.beam or preset["beam"]))
    sentences = str(positive("--sentences", options.sentences or preset["sentences"]))
    lengths = options.lengths or _default_lengths(run, preset)
    for length in lengths:
        if length != FREE and not re.fullmatch(r"0|[1-9][0-9]*", length):
            raise UserError(f"--lengths must be whole numbers or the word free, got '{length}'")
    chosen = choose_checkpoints(run, positive("--average", options.average or preset["checkpoints"]))
    if folder.settings["TARGET_UNITS"] != "characters":
        say(f"the headlines of {folder.path} are split into SentencePiece's pieces; lengths are counted in pieces")
    # The number of sentences at a time changes no result, so it is no setting.
    decoding = ["--beam", beam, "--nbest", beam, *options.flags]
    settings = "\n".join([*decoding_lines(folder, decoding), *checkpoint_lines(chosen)]) + "\n"
    (run.path / "headlines").mkdir(exist_ok=True)
    source = folder.path / "clean" / f"test.{folder.source_lang}"
    averaged = None
    with explained(lambda: f"{run.path}/headlines keeps the lengths that are done; the same command goes on."):
        for length in lengths:
            generated, first, reranked, settings_file, log = (
                run.path / "headlines" / f"{length}.{suffix}"
                for suffix in ("generated", "first", "reranked", "settings", "log")
            )
            if settings_file.is_file() and settings_file.read_text() == settings:
                say(f"the headlines of length {length} are there already")
                continue
            # They must not outlive the checkpoint that they belong to.
            for path in (settings_file, first, reranked):
                path.unlink(missing_ok=True)
            averaged = averaged or average(run, chosen)
            say(f"length {length}: decoding {count_lines(source)} sentences with beam {beam}")
            flags = ["--max-sentences", sentences, *(["--cpu"] if options.cpu else []), *decoding]
            flags += [] if length == FREE else ["--desired-length", length]
            generate(folder, "headline_generation", averaged, flags, generated, log)
            # rerank asserts that every sentence of the source has its headlines, and puts characters back into words.
            tool("rerank", "--generated", generated, "--source", source, "--output", reranked, "--first", first)
            with replaced_on_success(str(settings_file)) as part:
                Path(part).write_text(settings)


def _default_lengths(run: RunFolder, preset: Preset) -> list[str]:
    """Those of the preset, but none for a run without a length encoding."""
    settings = run.path / "settings"
    if settings.is_file() and "length=none" in settings.read_text().splitlines():
        return [FREE]
    return preset["lengths"]
