"""Every way to find the package with fairseq's ``--user-dir``: from the repository, installed, imported before or not.

fairseq looks for a relative name in the working directory, then beside its own package. It refuses a second package of
the same name, so a case either works with the copy it should, or stops with an error; it never takes the wrong one.
"""

import os
import shutil
import subprocess
import sys
import sysconfig

import pytest
from fairseq_commands import ROOT, environment, python, run, succeeded

pytestmark = pytest.mark.slow

# As in a new process with PYTHONPATH and PYTHONSAFEPATH: the folders that the command itself was found in are gone.
USE = """
import os, sys
before, user_dir, folder, *sys.path[:2] = sys.argv[1] == "imported", *sys.argv[2:]
os.chdir(folder)
if before:
    import fairseq_alone
from argparse import Namespace
from fairseq import utils
utils.import_user_module(Namespace(user_dir=user_dir))
import fairseq_alone
from fairseq.models import ARCH_MODEL_REGISTRY
assert "transformer_alone_tiny" in ARCH_MODEL_REGISTRY and "transformer_factorized" in ARCH_MODEL_REGISTRY
print("used", os.path.realpath(fairseq_alone.__file__))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site-packages with fairseq and an installed, not editable, copy of this package."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source")
    # pip writes build folders into the tree that it installs from.
    for name in ("setup.py", "pyproject.toml", "README.md", "fairseq_alone"):
        subprocess.run(["cp", "-r", ROOT / name, source], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    run([*pip, "--target", str(folder), str(source)])
    purelib = sysconfig.get_paths()["purelib"]
    # Links to the files, not to the folder: fairseq looks beside its own folder, through "..".
    shutil.copytree(f"{purelib}/fairseq", folder / "fairseq", copy_function=os.symlink)
    return folder


def use(cwd, user_dir, imported="not-imported", path=None):
    """Import the package through fairseq, which was not imported before; the last line of the error when that fails."""
    done = python(USE, imported, user_dir, cwd, *([path] if path else []), fairseq_imported=False)
    return done.stdout.split("used ")[-1].strip() if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def installed_copy(site):
    return str((site / "fairseq_alone/__init__.py").resolve())


REPOSITORY_COPY = str((ROOT / "fairseq_alone/__init__.py").resolve())


def test_repository_root():
    assert use(ROOT, "fairseq_alone") == REPOSITORY_COPY


def test_elsewhere_a_relative_name_is_not_found(tmp_path):
    assert use(tmp_path, "fairseq_alone").startswith("FileNotFoundError")


@pytest.mark.parametrize("imported", ["imported", "not-imported"])
def test_the_printed_path_works_everywhere(tmp_path, site, imported):
    assert use(tmp_path, ROOT / "fairseq_alone", imported) == REPOSITORY_COPY
    assert use(tmp_path, site / "fairseq_alone", imported, path=site) == installed_copy(site)
    assert use(ROOT, site / "fairseq_alone", imported, path=site) == installed_copy(site)


def test_installed_beside_fairseq_a_relative_name_is_found(tmp_path, site):
    assert use(tmp_path, "fairseq_alone", path=site) == installed_copy(site)


def test_installed_and_imported_before_a_relative_name_is_refused(tmp_path, site):
    assert use(tmp_path, "fairseq_alone", "imported", path=site).startswith("ImportError")


def test_in_the_repository_its_own_copy_wins_over_an_installed_one(site):
    assert use(ROOT, "fairseq_alone", path=site) == REPOSITORY_COPY


def test_in_the_repository_with_the_installed_copy_imported_is_refused(site):
    assert use(ROOT, "fairseq_alone", "imported", path=site).startswith("ImportError")


def test_the_same_folder_through_a_link_is_refused_once_imported(tmp_path):
    (tmp_path / "fairseq_alone").symlink_to(ROOT / "fairseq_alone")
    assert use(tmp_path, tmp_path / "fairseq_alone", "imported").startswith("ImportError")


def test_a_copy_of_the_folder_under_another_name_is_refused(tmp_path):
    """Its modules would import those of an installed package, and register everything twice."""
    shutil.copytree(ROOT / "fairseq_alone", tmp_path / "my_plugin")
    last = use(tmp_path, tmp_path / "my_plugin")
    assert last.startswith("ImportError: the folder of this package must be called fairseq_alone, but --user-dir or an")
    assert "calls it my_plugin: rename it, or give --user-dir the folder that `fairseq-alone path` prints" in last


def test_spawned_children_find_a_relative_name(tmp_path):
    (tmp_path / "user_dir_child.py").write_text(
        "from argparse import Namespace\n"
        "def child(rank, user_dir):\n"
        "    from fairseq import utils\n"
        "    utils.import_user_module(Namespace(user_dir=user_dir))\n"
        "    from fairseq.models import ARCH_MODEL_REGISTRY\n"
        "    assert 'transformer_alone' in ARCH_MODEL_REGISTRY\n"
    )
    code = (
        "import sys, torch.multiprocessing\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from user_dir_child import child\n"
        "child(0, 'fairseq_alone')\n"
        "torch.multiprocessing.spawn(child, ('fairseq_alone',), nprocs=1)\n"
        "print('both')\n"
    )
    assert "both" in succeeded(python(code, tmp_path, fairseq_imported=True)).stdout


def test_console_command_of_the_installed_package(tmp_path, site):
    """``fairseq-alone path`` names the folder of the copy that runs."""
    variables = {**environment(), "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, str(site / "bin/fairseq-alone"), "path"]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(site / "fairseq_alone")
    assert done.stderr == ""
