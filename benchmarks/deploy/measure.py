"""One form of one model, measured in a process of its own: `python measure.py ENGINE PATH SOURCES ...`.

Prints JSON: the hypotheses, seconds to load, CPU seconds to decode, and the peak of the resident memory.
"""

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def measure(engine: str, path: str, sources: list[str], batch: int, data: str | None) -> dict:
    """Decode with beam 4 on one thread.

    Args:
        engine: see ``forms.Form``.
        path: the checkpoint, compact file or folder.
        sources: units with a space between.
        batch: sentences at a time.
        data: the binarised data of a checkpoint.

    Returns:
        ``units`` (of the best hypotheses), ``load_seconds``, ``decode_seconds`` (CPU time, all of one thread) and
        ``peak_bytes``.
    """
    from fairseq_alone.inference.backend import Search

    search = Search(beam=4, lenpen=0.6, sentences=batch, max_len_a=0.0, max_len_b=200)
    started = time.perf_counter()
    backend = open_backend(engine, path, data)
    loaded = time.perf_counter() - started
    started = time.process_time()
    found = backend.decode(sources, search)
    decoded = time.process_time() - started
    return {
        "units": [best[0].units for best in found],
        "load_seconds": loaded,
        "decode_seconds": decoded,
        "peak_bytes": peak_bytes("self"),
    }


def peak_bytes(process: int | str) -> int:
    """The peak of the resident memory of a process that runs. getrusage would begin with the parent's."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024


def open_backend(engine: str, path: str, data: str | None):
    """What decodes."""
    if engine == "ctranslate2":
        from fairseq_alone.inference.ctranslate2_backend import open_ctranslate2

        return open_ctranslate2(path, "cpu", 1)[2]
    import torch

    from fairseq_alone.inference.fairseq_backend import FairseqBackend
    from fairseq_alone.inference.opening import Given, open_model

    torch.set_num_threads(1)
    checkpoint = Path(path) / "model.pt" if Path(path).is_dir() else Path(path)
    return FairseqBackend(open_model(str(checkpoint), Given(data or str(Path(path)))))


def measure_command(path: str, data: str, batch: int) -> dict:
    """The same for the command fairseq-generate: the seconds are those that it tells itself, without loading.

    Args:
        path: the checkpoint.
        data: the binarised data.
        batch: sentences at a time.
    """
    from fairseq_alone.recipes.fairseq_command import fairseq_command, user_dir

    command = [*fairseq_command("generate"), data, "--user-dir", user_dir(), "--path", path, "--cpu"]
    command += ["--beam", "4", "--lenpen", "0.6", "--max-sentences", str(batch), "--gen-subset", "test"]
    command += ["--required-batch-size-multiple", "1", "--num-workers", "0", "--no-progress-bar"]
    started, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as messages:
        process = subprocess.Popen(command, stdout=output, stderr=messages)
        while process.poll() is None:
            # It is gone when the process has ended, so the last look counts.
            with contextlib.suppress(OSError, TypeError):
                peak = max(peak, peak_bytes(process.pid))
            time.sleep(0.2)
        seconds = time.perf_counter() - started
        output.seek(0)
        messages.seek(0)
        printed, told_beside = output.read(), messages.read()
    # The command loads, decodes and ends. It prints how long decoding took.
    told = re.search(r"Translated ([\d,]+) sentences \([\d,]+ tokens\) in ([\d.]+)s", printed + told_beside)
    if process.returncode or told is None:
        sys.exit(f"fairseq-generate failed: {told_beside[-2000:]}")
    lines = (line.split("\t") for line in printed.splitlines() if line.startswith("H-"))
    units = {int(fields[0][2:]): fields[2] for fields in lines}
    return {
        "units": [units[number] for number in sorted(units)],
        "load_seconds": seconds - float(told[2]),
        "decode_seconds": float(told[2]),
        "peak_bytes": peak,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", choices=("fairseq-generate", "fairseq", "ctranslate2"))
    parser.add_argument("path")
    parser.add_argument("sources", help="split text, one sentence a line; fairseq-generate takes the subset test")
    parser.add_argument("--data", help="the binarised data")
    parser.add_argument("--batch", type=int, default=32)
    args = parser.parse_args()
    if args.engine == "fairseq-generate":
        result = measure_command(args.path, args.data, args.batch)
    else:
        sources = Path(args.sources).read_text(encoding="utf-8").split("\n")[:-1]
        result = measure(args.engine, args.path, sources, args.batch, args.data)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
