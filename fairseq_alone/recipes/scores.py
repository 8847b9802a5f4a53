"""The scores of a run, and what they were made of."""

from pathlib import Path

from fairseq_alone.files import replaced_on_success
from fairseq_alone.recipes.run_folder import RunFolder


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
