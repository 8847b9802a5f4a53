"""Some of the commands of ``commands.py``, each for one family in turn; ``compare.py`` runs all of them for all."""

import re

import pytest
from commands import ENTRIES
from compare import FAMILIES, Runner, rotated_tying

pytestmark = pytest.mark.slow

# Those that touch an embedding, an output layer or a checkpoint in a way that no other test does.
NAMES = (
    "interactive with constraints",
    *("cross and self attention", "layers kept", "activations offloaded", "aligned data", "adafactor"),
    *("several languages: tokens on both sides", "experts", "separate dictionaries, tied: none", "base layers"),
    *("checkpoints: finetune", "checkpoints: resume a moving average", "checkpoints: mean by fairseq's rule"),
    *("moving average by hand", "TorchScript", "length: TorchScript", "length: prefix", "length: hub"),
    *("transformer_lm: first symbol", "transformer_lm: shorter dictionary", "lstm_lm: residuals", "lstm_lm: sampling"),
)
ROTATION = [(name, list(FAMILIES)[number % len(FAMILIES)]) for number, name in enumerate(NAMES)]


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Runner:
    return Runner(tmp_path_factory.mktemp("fairseq-commands") / "work")


@pytest.mark.parametrize(("name", "family"), ROTATION)
def test_what_works_for_fairseqs_own_models_works_here(runner, name, family):
    (entry,) = (entry for entry in ENTRIES if entry.name == name)
    result = runner.run(entry, family, rotated_tying(entry, family))
    if entry.refused:
        assert result.status == "refused", result
        assert re.search(entry.refused, result.last_line), result
    else:
        assert result.status == "passes", result


def test_names_are_unique():
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
