"""fairseq's reading of checkpoints: no code of a file runs, whatever fairseq asks for."""

import inspect

import pytest
import torch
from fairseq import checkpoint_utils

import fairseq_alone.models  # noqa: F401 (installs the seams)
from fairseq_alone.errors import UserError


class Surprise:
    """What a hostile checkpoint would hold."""

    def __reduce__(self):
        return (print, ("this ran code",))


@pytest.fixture
def hostile(tmp_path):
    path = tmp_path / "hostile.pt"
    torch.save({"model": {}, "cfg": {}, "extra_state": {"ema": {}}, "extra": Surprise()}, path)
    return str(path)


def newer_fairseq(name):
    """One of fairseq's own functions, changed to ask for the unsafe loader, as fairseq's main does since 2025."""
    source = inspect.getsource(inspect.unwrap(getattr(checkpoint_utils, name)))
    changed = source.replace("map_location=", "weights_only=False, map_location=")
    assert changed != source
    namespace = dict(vars(checkpoint_utils))
    exec(changed, namespace)
    return namespace[name]


@pytest.mark.parametrize("name", ["load_checkpoint_to_cpu", "load_ema_from_checkpoint"])
def test_no_code_runs_even_when_fairseq_asks_for_the_unsafe_loader(hostile, capsys, name):
    with pytest.raises(UserError, match="hostile.pt: holds .*print, which the safe loader does not allow"):
        newer_fairseq(name)(hostile)
    assert "this ran code" not in capsys.readouterr().out


def test_a_path_is_read_safely_as_well(hostile, capsys):
    with pytest.raises(UserError, match="hostile.pt: holds .*print"):
        checkpoint_utils.torch.load(hostile, map_location="cpu", weights_only=False)
    assert "this ran code" not in capsys.readouterr().out


def test_the_check_stays_on_for_the_rest_of_the_process(hostile):
    with pytest.raises(Exception, match="weights_only"):
        torch.load(hostile)
    assert checkpoint_utils.torch.save is torch.save
