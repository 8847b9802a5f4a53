"""What the tests of commands rest on: the status and the output of a command are its own."""

import pytest
from command_server import CommandServer
from conftest import environment

PROGRAM = """
import os, signal, sys

def cli_main():
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
    return CommandServer(environment(), folder)


@pytest.mark.parametrize(("argument", "status"), [("0", 0), ("3", 3), ("dies", -9)])
def test_status_and_output(server, argument, status):
    done = server.run("program", [argument, "a b"], "words of\ninput")
    assert (done.returncode, done.args) == (status, ["program", argument, "a b"])
    assert done.stdout == f"['{argument}', 'a b'] words of\ninput\n"
    assert done.stderr.endswith("trouble\n")


def test_an_exception_is_status_one_with_a_traceback(server):
    done = server.run("program", ["no number"])
    assert done.returncode == 1
    assert "ValueError: invalid literal for int()" in done.stderr
