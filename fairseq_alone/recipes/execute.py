"""Runs planned trainings, one or several side by side, to their end."""

import collections
import contextlib
import re
import sys

from fairseq_alone.errors import UserError
from fairseq_alone.recipes.display import Display
from fairseq_alone.recipes.fairseq_command import KEEP_MEMORY
from fairseq_alone.recipes.interruption import explained
from fairseq_alone.recipes.processes import Job, run_jobs
from fairseq_alone.recipes.progress import Progress
from fairseq_alone.recipes.run_folder import RefusedError, RunFolder
from fairseq_alone.recipes.train import Plan

#: How much a user sees: nothing, how far it is, or also all that fairseq prints.
QUIET, NORMAL, VERBOSE = range(3)

# What argparse and this package print last when they refuse: "train.py: error: unrecognized arguments: --x".
_REFUSAL = re.compile(r"^[\w.-]+: error: (.+)$")

# Of a process that has no log here, shown when it fails.
_LAST_LINES = 20


def execute(plans: list[Plan], show: int = NORMAL) -> None:
    """Train until all have ended.

    Raises:
        UserError: another process trains one of them, or a training failed; the others are stopped then.
        SystemExit: after Ctrl-C (130) or SIGTERM (143), with a sentence about what is saved.
    """
    trainings = [_RunningTraining(plan, show) for plan in plans]
    display = Display([training.progress for training in trainings]) if show == NORMAL else None
    with explained(lambda: " ".join(_how_to_go_on(plan.run) for plan in plans)), contextlib.ExitStack() as stack:
        jobs = [job for training in trainings for job in training.start(stack, display)]
        try:
            status = run_jobs(jobs)
        finally:
            if display:
                display.close()
        if status:
            for training in trainings:
                training.explain_failure()
            raise UserError(
                f"the training of {' or '.join(str(plan.run.path) for plan in plans)} stopped with status {status}; "
                f"see the messages in {' or '.join(str(plan.run.log) for plan in plans)}"
            )
    for plan in plans:
        if plan.first_rank == 0:
            print(f"trained: {plan.run.path}")


class _RunningTraining:
    """The log and the progress of one plan."""

    def __init__(self, plan: Plan, show: int):
        self.plan, self.show = plan, show
        self.progress = Progress(plan.run.name, plan.max_epoch, plan.max_update)
        self.refusal: str | None = None
        self.last_lines: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)

    def start(self, stack: contextlib.ExitStack, display: Display | None) -> list[Job]:
        """Make the folder, open the log, and give the jobs to run."""
        plan = self.plan
        if plan.first_rank > 0:
            # The first machine has the log.
            return [Job(command, self._on_line_elsewhere, environment=KEEP_MEMORY) for command in plan.commands]
        lock = stack.enter_context(plan.run.started(plan.settings, plan.command))
        # Not --log-file: fairseq opens that file once more at every epoch, and then writes each line again and again.
        log = stack.enter_context(plan.run.log.open("a", encoding="utf-8", buffering=1))

        def on_line(line: str) -> None:
            log.write(line)
            if self.show == VERBOSE:
                sys.stdout.write(line)
                sys.stdout.flush()
            refusal = _REFUSAL.match(line)
            self.refusal = refusal[1] if refusal else self.refusal
            validated = self.progress.read(line)
            if display:
                display.changed(self.progress, validated)

        return [Job(command, on_line, (lock,), KEEP_MEMORY) for command in plan.commands]

    def _on_line_elsewhere(self, line: str) -> None:
        self.last_lines.append(line)
        if self.show == VERBOSE:
            sys.stderr.write(line)

    def explain_failure(self) -> None:
        """Print what a log of another machine does not hold.

        Raises:
            RefusedError: fairseq ended with a sentence about its flags before it trained.
        """
        if self.plan.first_rank > 0 and self.show != VERBOSE:
            sys.stderr.writelines(self.last_lines)
        if self.refusal and not self.progress.updates and not self.plan.run.last_checkpoint.exists():
            raise RefusedError(f"fairseq-train: {self.refusal}")


def _how_to_go_on(run: RunFolder) -> str:
    if not run.last_checkpoint.is_file():
        return f"{run.path} has no checkpoint yet; the same command begins anew."
    epoch = run.last_epoch()
    until = f"epoch {epoch}" if epoch else "the last finished epoch"
    return f"{run.checkpoints} has everything up to the end of {until}; the same command goes on from there."
