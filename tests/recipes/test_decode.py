"""Which checkpoints are averaged, and what the settings of results say about them."""

import subprocess

from fairseq_alone.recipes.decode import checkpoint_lines, choose_checkpoints, tell_fewer
from fairseq_alone.recipes.run_folder import RunFolder


def run_with(tmp_path, *names):
    run = RunFolder(tmp_path, "run")
    run.checkpoints.mkdir(parents=True)
    for name in names:
        (run.checkpoints / f"checkpoint{name}.pt").write_bytes(b"1234")
    return run


def test_the_last_epochs_are_chosen_in_the_order_of_their_numbers(tmp_path, capsys):
    run = run_with(tmp_path, "9", "10", "11", "_best", "_last", "_10_500")
    assert [path.name for path in choose_checkpoints(run, 2)] == ["checkpoint10.pt", "checkpoint11.pt"]
    assert capsys.readouterr().out == ""
    for count, told in ((3, ""), (5, "averaging 3 checkpoints, because there are not 5\n")):
        tell_fewer(choose_checkpoints(run, count), count)
        assert capsys.readouterr().out == told


def test_a_training_shorter_than_an_epoch_has_its_last_state(tmp_path):
    run = run_with(tmp_path, "_best", "_last")
    assert choose_checkpoints(run, 3) == [run.last_checkpoint]


def test_a_checkpoint_is_described_as_by_earlier_versions(tmp_path):
    """They asked stat; results of theirs must not count as changed."""
    run = run_with(tmp_path, "7")
    command = ["stat", "--format", "checkpoint=%n %s bytes %y", "checkpoint7.pt"]
    printed = subprocess.run(command, cwd=run.checkpoints, capture_output=True, text=True, check=True).stdout
    assert checkpoint_lines([run.checkpoints / "checkpoint7.pt"]) == printed.splitlines()
