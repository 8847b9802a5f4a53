"""The recipes in this process, with the commands of fairseq served by forks: starting one takes longer than a step."""

import contextlib
import io
from types import SimpleNamespace

from fairseq_commands import fairseq, run_together

from fairseq_alone.cli import main
from fairseq_alone.recipes import (
    decode,
    evaluate_language_model,
    execute,
    preparation,
    prepare_language_model,
    prepare_word_vectors,
)


def serve(command):
    """Run ``[python, -m, fairseq_cli.TOOL, ...]`` in a fork; see ``command_server``."""
    return fairseq(command[2].removeprefix("fairseq_cli."), *command[3:], check=False)


def served_run_logged(log, command):
    done = serve(command)
    log.write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stderr


def served_run_jobs(jobs):
    """Trainings at once; the status of the first that failed, or 0."""
    status = 0
    for job, done in zip(jobs, run_together("fairseq_cli.train", [job.command[3:] for job in jobs]), strict=True):
        for line in (done.stdout + done.stderr).splitlines(keepends=True):
            job.on_line(line)
        status = status or done.returncode
    return status


@contextlib.contextmanager
def served_process(command, stdout, stderr):
    done = serve(command)
    stderr.write(done.stderr)
    yield SimpleNamespace(stdout=io.BytesIO(done.stdout.encode()), wait=lambda: done.returncode)


def serve_fairseq(monkeypatch):
    """Let the recipes use the served commands."""
    for module in (preparation, prepare_language_model, prepare_word_vectors, evaluate_language_model):
        monkeypatch.setattr(module, "run_logged", served_run_logged)
    monkeypatch.setattr(execute, "run_jobs", served_run_jobs)
    monkeypatch.setattr(decode, "stopped_at_the_end", served_process)


def served_command(monkeypatch, capsys):
    """``fairseq-alone`` in this process: a function of its words, and of the status, that returns what was printed."""
    serve_fairseq(monkeypatch)

    def run(*words, status=0):
        capsys.readouterr()
        assert main(list(map(str, words))) == status, capsys.readouterr().err
        return capsys.readouterr()

    return run
