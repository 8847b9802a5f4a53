"""What tests of several recipes share."""

import pytest
from served import serve_fairseq

from fairseq_alone.cli import main


@pytest.fixture
def command(monkeypatch, capsys):
    """``fairseq-alone`` in this process, with fairseq's commands served: what it printed."""
    serve_fairseq(monkeypatch)

    def run(*words, status=0):
        capsys.readouterr()
        assert main(list(map(str, words))) == status, capsys.readouterr().err
        return capsys.readouterr()

    return run
