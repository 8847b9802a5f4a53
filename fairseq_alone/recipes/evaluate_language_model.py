"""Word-level perplexity of a run's best checkpoint on the validation and the test set.

Every word and every end of a sentence counts once; a missing one is an error. The text is one stream, cut every so many
words; only at a cut does the LSTM start with an empty state. A run that carries its state reads the text at one go.
"""

import json
import re
from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success
from fairseq_alone.recipes import fairseq_command
from fairseq_alone.recipes.decode import file_state
from fairseq_alone.recipes.evaluate_options import EvaluateOptions
from fairseq_alone.recipes.language_model_training import CARRIED, counted_tokens
from fairseq_alone.recipes.run_folder import RunFolder
from fairseq_alone.recipes.scores import Scores
from fairseq_alone.recipes.steps import run_logged, say
from fairseq_alone.recipes.values import positive
from fairseq_alone.recipes.work_folder import WorkFolder


def evaluate_language_model(work: WorkFolder, run: RunFolder, options: EvaluateOptions) -> None:
    """Write scores.json.

    Raises:
        UserError: there is no checkpoint, or fairseq-eval-lm failed or did not see every word.
    """
    work.require("clean/counts")
    carried = CARRIED in run.settings
    if carried and options.context:
        raise UserError(
            f"--context does not work with {run.name}, which was trained with --carry-state: there is no cut"
        )
    context = positive("--context", options.context or work.preset("small")["context"])
    for note in run.require_trained():
        say(note)
    checkpoint = run.checkpoints / "checkpoint_best.pt"
    if not checkpoint.is_file():
        raise UserError(f"{checkpoint} is missing; run fairseq-alone train first")
    scores = Scores(run, f"context={'all' if carried else context} checkpoint={file_state(checkpoint)}")
    if scores.are_there:
        say(f"{run.path} is evaluated already; nothing to do")
        found = json.loads(scores.scores.read_text(encoding="utf-8"))["language_model"]
        say(", ".join(f"perplexity of {split} {one['perplexity']}" for split, one in found.items()))
        return
    scores.forget()
    found = {}
    for split in ("valid", "test"):
        # One piece at a time, so that the memory for the logits does not depend on the machine.
        flags = ["--sample-break-mode", "none", "--tokens-per-sample", str(context), "--max-tokens", str(context)]
        flags += ["--task", "truncated_bptt_lm"] if carried else []
        flags += ["--required-batch-size-multiple", "1", "--num-workers", "0", "--no-progress-bar"]
        flags += ["--cpu"] if options.cpu else []
        command = [*fairseq_command.fairseq_command("eval_lm"), str(work.path / "data-bin"), "--user-dir"]
        command += [fairseq_command.user_dir(), "--path", str(checkpoint), "--gen-subset", split, *flags]
        log = run.path / f"eval.{split}.log"
        run_logged(log, command)
        found[split] = _read(log, counted_tokens(work)[split], split)
        perplexity, tokens = found[split].values()
        say(f"{run.name}, {split}: perplexity {perplexity} over {tokens} words and ends of sentences")
    with replaced_on_success(str(scores.scores)) as part:
        Path(part).write_text(json.dumps({"language_model": found}) + "\n")
    scores.finish()


def _read(log: Path, expected: int, split: str) -> dict:
    text = log.read_text(encoding="utf-8", errors="replace")
    counted = re.search(r"Evaluated ([0-9,]+) tokens", text)
    tokens = int(counted[1].replace(",", "")) if counted else None
    if tokens != expected:
        raise UserError(
            f"fairseq-eval-lm counted {tokens or 'no'} words, but {split} has {expected} with the ends of sentences; "
            f"see {log}"
        )
    perplexity = re.search(r", Perplexity: ([0-9.]+)$", text, re.MULTILINE)
    if not perplexity:
        raise UserError(f"fairseq-eval-lm printed no perplexity that is a number; see {log}")
    return {"perplexity": float(perplexity[1]), "tokens": tokens}
