"""A run of the recipe for translation: average, translate, BLEU and chrF."""

import json

from fairseq_alone.recipes.checksum import cksum
from fairseq_alone.recipes.decode import (
    average,
    checkpoint_lines,
    choose_checkpoints,
    decoding_lines,
    generate,
    tell_fewer,
)
from fairseq_alone.recipes.evaluate_options import EvaluateOptions
from fairseq_alone.recipes.run_folder import RunFolder
from fairseq_alone.recipes.scores import Scores
from fairseq_alone.recipes.steps import count_lines, say
from fairseq_alone.recipes.tools import tool
from fairseq_alone.recipes.values import decimal, positive
from fairseq_alone.recipes.work_folder import WorkFolder


def evaluate_translation(work: WorkFolder, run: RunFolder, options: EvaluateOptions) -> None:
    """Write averaged.pt, generated.txt, the hypotheses and scores.json.

    Raises:
        UserError: there is no checkpoint, or fairseq-generate failed.
    """
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
