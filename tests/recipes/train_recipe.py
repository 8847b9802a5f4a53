"""``fairseq-alone train`` in this process, with a shell script in place of fairseq-train: nothing is trained here."""

import shlex
from types import SimpleNamespace

from fairseq_alone.cli import main
from fairseq_alone.recipes import fairseq_command, workers

# Writes its arguments to a file for each rank, then does what $TRAINING says.
STAND_IN = r"""
rank=$(sed -n 's/.*--distributed-rank \([0-9]*\).*/\1/p' <<<"$*")
rank=${rank:-0}
echo "$$" >"$CALLS/pid.$rank"
printf '%s\n' "$@" >"$CALLS/rank.$rank"
eval "${TRAINING:-echo trained}"
"""
PREPARED = {
    "translation": "SUBWORDS=subword-nmt\nSOURCE_LANG=en\nTARGET_LANG=de\n",
    "headlines": "SOURCE_LANG=en\nTARGET_LANG=de\nTARGET_UNITS=characters\n",
}


class TrainRecipe:
    """A prepared folder with a dictionary of 1,000 entries, and the command."""

    def __init__(self, tmp_path, monkeypatch, capsys):
        self.folder, self.calls = tmp_path / "work dir", tmp_path / "calls"
        self.path = self.folder / "runs" / "run"
        self._monkeypatch, self._capsys = monkeypatch, capsys
        (self.folder / "data-bin").mkdir(parents=True)
        (self.folder / "data-bin/dict.de.txt").write_text("".join(f"word{i} 1\n" for i in range(996)))
        self.calls.mkdir()
        self.stand_in = tmp_path / "stand_in"
        self.stand_in.write_text(STAND_IN)
        monkeypatch.setattr(fairseq_command, "fairseq_command", lambda tool: ["bash", str(self.stand_in), tool])
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_PROCID", "SLURM_STEP_ID"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("CALLS", str(self.calls))
        self.prepare("small")

    def prepare(self, preset, recipe="translation"):
        (self.folder / "prepare.settings").write_text(f"PRESET={preset}\n{PREPARED[recipe]}")

    def run(self, *flags, name="run", gpus=0, training="", environ=(), **options):
        """Run the command. ``inter_dim=8`` is ``--inter-dim 8``, True a flag without a value; flags go behind --."""
        words = ["train", str(self.folder), name]
        for option, value in options.items():
            words += [f"--{option.replace('_', '-')}", *([] if value is True else [str(value)])]
        with self._monkeypatch.context() as patch:
            patch.setattr(workers, "count_gpus", lambda: gpus)
            for variable, value in {"TRAINING": training, **dict(environ)}.items():
                patch.setenv(variable, str(value))
            status = main([*words, "--", *flags] if flags else words)
        output = self._capsys.readouterr()
        return SimpleNamespace(status=status, out=output.out, err=output.err)

    def dry_run(self, *flags, **options):
        """The text before the commands, and the commands as lists of words."""
        done = self.run(*flags, dry_run=True, **options)
        assert done.status == 0, done.err
        assert not (self.folder / "runs").exists()
        lines = done.out.splitlines()
        commands = [shlex.split(line.removeprefix("command: ")) for line in lines if line.startswith("command: ")]
        return "\n".join(line for line in lines if not line.startswith("command: ")), commands

    def refused(self, *flags, **options):
        """The one sentence."""
        done = self.run(*flags, **options)
        assert done.status == 1, done.out
        [line] = done.err.splitlines()
        assert line.startswith("fairseq-alone train: error: ")
        return line


def value(command, flag):
    assert command.count(flag) == 1, f"{flag} in {command}"
    return command[command.index(flag) + 1]
