"""What evaluation and generation share: which checkpoints are averaged, what they were, and fairseq-generate."""

import subprocess
import time
from pathlib import Path

from tqdm import tqdm

from fairseq_alone.errors import UserError
from fairseq_alone.recipes import fairseq_command
from fairseq_alone.recipes.checksum import cksum
from fairseq_alone.recipes.processes import stopped_at_the_end
from fairseq_alone.recipes.run_folder import RunFolder
from fairseq_alone.recipes.steps import count_lines, say
from fairseq_alone.recipes.tools import tool
from fairseq_alone.recipes.work_folder import WorkFolder


def choose_checkpoints(run: RunFolder, count: int) -> list[Path]:
    """The last ``count`` checkpoints, one for each epoch; of a training shorter than an epoch its last state."""
    epochs = [path for path in run.checkpoints.glob("checkpoint*.pt") if path.stem[len("checkpoint") :].isdecimal()]
    epochs.sort(key=lambda path: int(path.stem[len("checkpoint") :]))
    return epochs[-count:] or [run.last_checkpoint]


def tell_fewer(chosen: list[Path], count: int) -> None:
    """Say so where there are fewer checkpoints to average than were asked for."""
    if len(chosen) != count:
        say(f"averaging {len(chosen)} checkpoint{'s' if len(chosen) > 1 else ''}, because there are not {count}")


def file_state(path: Path) -> str:
    """Size and time of change, so that a newer file is noticed."""
    state = path.stat()
    changed = time.localtime(state.st_mtime_ns // 10**9)
    fraction = state.st_mtime_ns % 10**9
    moment = f"{time.strftime('%Y-%m-%d %H:%M:%S', changed)}.{fraction:09d} {time.strftime('%z', changed)}"
    return f"{state.st_size} bytes {moment}"


def checkpoint_lines(checkpoints: list[Path]) -> list[str]:
    """What the settings of results say about the checkpoints that they were made of."""
    return [f"checkpoint={path.name} {file_state(path)}" for path in checkpoints]


def test_set(work: WorkFolder) -> Path:
    """The binarised source of the test set. Raises UserError when it is missing."""
    name = f"data-bin/test.{work.source_lang}-{work.target_lang}.{work.source_lang}.bin"
    work.require(name)
    return work.path / name


def decoding_lines(work: WorkFolder, decoding: list[str]) -> list[str]:
    """What the settings of results say about how they were decoded, and of what."""
    return [f"decoding={' '.join(decoding)}", f"test={cksum(test_set(work))}"]


def average(run: RunFolder, checkpoints: list[Path]) -> Path:
    """Write ``averaged.pt``."""
    averaged = run.path / "averaged.pt"
    tool("average", *checkpoints, "--output", averaged)
    return averaged


def generate(work: WorkFolder, task: str, model: Path, flags: list[str], output: Path, log: Path) -> None:
    """Decode the test set into a file, with a bar of sentences in a terminal.

    Raises:
        UserError: fairseq-generate failed; with the end of its messages.
    """
    command = [*fairseq_command.fairseq_command("generate"), str(work.path / "data-bin")]
    command += ["--user-dir", fairseq_command.user_dir(), "--task", task]
    command += ["--source-lang", work.source_lang, "--target-lang", work.target_lang, "--gen-subset", "test"]
    # --required-batch-size-multiple 1: without it fairseq leaves out up to 7 sentences.
    command += ["--path", str(model), "--required-batch-size-multiple", "1", *flags]
    total = count_lines(work.path / "clean" / f"test.{work.source_lang}")
    part = output.with_name(f"{output.name}.part")
    with (
        open(log, "w") as messages,
        open(part, "wb") as lines,
        tqdm(total=total, desc="decoding", unit="sentence", disable=None, leave=False) as bar,
        stopped_at_the_end(command, stdout=subprocess.PIPE, stderr=messages) as process,
    ):
        assert process.stdout is not None  # a pipe
        for line in process.stdout:
            lines.write(line)
            bar.update(line.startswith(b"S-"))
        status = process.wait()
    if status:
        ends = [path.read_text(encoding="utf-8", errors="replace").splitlines()[-20:] for path in (log, part)]
        last = "\n".join(line for end in ends for line in end)
        raise UserError(f"fairseq-generate failed; the whole of its messages is in {log}:\n{last}")
    part.replace(output)
