"""What the tests of commands rest on: the status and the output of a command are its own."""

import pytest
from command_server import CommandServer
from conftest import environment

PROGRAM = """
import atexit, os, signal, sys, time

def meet(mine, other):
    atexit.register(print, "the end")
    open(mine, "w").close()
    deadline = time.monotonic() + 60
    while not os.path.exists(other):
        if time.monotonic() > deadline:
            sys.exit("waited in vain")
        time.sleep(0.01)

def cli_main():
    if sys.argv[1] == "sentence":
        sys.exit("a sentence")
    if sys.argv[1] == "meet":
        return meet(*sys.argv[2:])
    print(sys.argv[1:], sys.stdin.read())
    print("trouble", file=sys.stderr)
    sys.stdout.flush()
    if sys.argv[1] == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(int(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("program")
    (folder / "program.py").write_text(PROGRAM)
    return CommandServer(environment(), folder, stages=[(), ()])


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize(("argument", "status"), [("0", 0), ("3", 3), ("dies", -9)])
def test_status_and_output(server, argument, status, stage):
    done = server.run("program", [argument, "a b"], "words of\ninput", stage)
    assert (done.returncode, done.args) == (status, ["program", argument, "a b"])
    assert done.stdout == f"['{argument}', 'a b'] words of\ninput\n"
    assert done.stderr.endswith("trouble\n")


def test_an_exception_is_status_one_with_a_traceback(server):
    done = server.run("program", ["no number"])
    assert done.returncode == 1
    assert "ValueError: invalid literal for int()" in done.stderr


def test_a_last_sentence_is_status_one(server):
    done = server.run("program", ["sentence"])
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "a sentence\n")


def test_processes_run_at_once_and_end_like_python(server, tmp_path):
    """Each waits for the other; then what it registered for its end runs."""
    files = [str(tmp_path / name) for name in ("first", "second")]
    for done in server.run_together("program", [["meet", *files], ["meet", *files[::-1]]]):
        assert (done.returncode, done.stdout, done.stderr) == (0, "the end\n", "")


def test_a_stage_knows_its_modules_and_those_before(tmp_path):
    (tmp_path / "known.py").write_text("import sys\ncli_main = lambda: print({'csv', 'wave'} & {*sys.modules} or '')\n")
    server = CommandServer(environment(), tmp_path, stages=[["csv"], ["wave"]])
    printed = [server.run("known", [], stage=stage).stdout.strip() for stage in (1, 0, -1)]
    assert [eval(line) for line in printed] == [{"csv", "wave"}, {"csv"}, {"csv", "wave"}]
