"""A wrong Python or fairseq gets one sentence that says what to install; modules work without fairseq."""

import ast
import sys

import pytest
from fairseq_commands import ROOT, python, succeeded

from fairseq_alone import compat


def with_fairseq(monkeypatch, tmp_path, version, file="version.py"):
    """Make a fairseq of this version the one that would be imported."""
    package = tmp_path / "fairseq"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')\n")
    (package / file).write_text(f'__version__ = "{version}"\n')
    monkeypatch.delitem(sys.modules, "fairseq", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_this_environment_is_accepted():
    assert compat.check_versions()


@pytest.mark.parametrize("version", ["0.12.2", "0.9.0", "1.0.0a0", "0.12.3.1", "0.12.3", "0.13"])
def test_versions_of_fairseq(monkeypatch, tmp_path, version):
    with_fairseq(monkeypatch, tmp_path, version)
    assert compat.fairseq_version() == version
    if version in ("0.12.2", "0.9.0"):
        with pytest.raises(
            ImportError, match=r"fairseq 0\.(12\.2|9\.0).*pip install --no-build-isolation fairseq-fixed"
        ):
            compat.check_versions()
    else:
        assert compat.check_versions()


@pytest.mark.parametrize("version", [(3, 8), (3, 10), (3, 13)])
def test_wrong_python(monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", (*version, 1))
    with pytest.raises(
        ImportError, match=rf"needs Python 3\.11 or 3\.12, but this is Python {version[0]}\.{version[1]}"
    ):
        compat.check_versions()


def without_fairseq(code, tmp_path):
    """Run code where fairseq cannot be found."""
    block = (
        "import sys, importlib.abc\n"
        "class Block(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'fairseq':\n"
        "            raise ModuleNotFoundError(name)\n"
        "import importlib.util\n"
        "original = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'fairseq' else original(name, *a)\n"
        "sys.meta_path.insert(0, Block())\n"
    )
    return python(block + code, fairseq_imported=False)


def test_modules_work_without_fairseq(tmp_path):
    code = (
        "import torch\n"
        "from fairseq_alone.modules import AloneEmbedding, FilterSettings, TiedProjection\n"
        "embedding = AloneEmbedding(FilterSettings(100, 8), 8, 1, inter_dim=16)\n"
        "print(TiedProjection(embedding)(embedding(torch.tensor([[3, 4]]))).shape)\n"
        "assert 'fairseq' not in sys.modules\n"
    )
    done = without_fairseq(code, tmp_path)
    assert done.stdout.strip() == "torch.Size([1, 2, 100])", done.stderr


def test_a_command_that_needs_fairseq_says_what_to_install(tmp_path):
    done = without_fairseq("from fairseq_alone.cli import main\nsys.exit(main(['flags']))\n", tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().startswith("fairseq-alone flags: error: fairseq is not installed: install torch first")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_command_that_does_not_need_fairseq_works_without(tmp_path):
    done = without_fairseq("from fairseq_alone.cli import main\nsys.exit(main(['path']))\n", tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{ROOT / 'fairseq_alone'}\n"), done.stderr


WITH_FAIRSEQ = """
import ast
import sys
import fairseq.trainer
before = sys.excepthook, fairseq.trainer.Trainer.train_step, len(fairseq.models.ARCH_MODEL_REGISTRY)
import fairseq_alone.modules
assert before == (sys.excepthook, fairseq.trainer.Trainer.train_step, len(fairseq.models.ARCH_MODEL_REGISTRY))
import fairseq_alone.models
assert "transformer_alone" in fairseq.models.ARCH_MODEL_REGISTRY
assert before[1] is not fairseq.trainer.Trainer.train_step
"""


def test_modules_change_nothing_of_fairseq():
    without = "import sys, fairseq_alone.modules; assert 'fairseq' not in sys.modules"
    succeeded(python(without, fairseq_imported=False))
    succeeded(python(WITH_FAIRSEQ, fairseq_imported=True))


def test_torch_without_muon_serves_all_but_the_optimizer_that_needs_it():
    code = "import torch; vars(torch.optim).pop('Muon', None); from fairseq_alone.optim import adam_muon"
    succeeded(python(code, fairseq_imported=True))


def test_the_modules_are_written_for_every_python_that_torch_supports():
    """Syntax only: the tests run on one Python. What is not in the standard library of 3.10 comes from elsewhere."""
    for path in [*(ROOT / "fairseq_alone/modules").glob("*.py"), ROOT / "fairseq_alone/__init__.py"]:
        tree = ast.parse(path.read_text(), str(path), feature_version=(3, 10))
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
            if node.module == "typing"
        }
        assert not imported & {"Self", "Never", "assert_never", "LiteralString", "Unpack", "override"}, path
