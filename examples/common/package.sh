# The package and the Python of a recipe's script; source it. Needs $python and the function `refuse`.
#
# The package beside the recipes serves, installed or not; user_dir is its folder, for fairseq's --user-dir.
package_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
user_dir=$package_root/fairseq_alone
export PYTHONPATH=$package_root${PYTHONPATH:+:$PYTHONPATH}

command -v "$python" >/dev/null || refuse "PYTHON=$python is no command; name the Python that has fairseq_alone"
# Looks for their folders only: importing them takes seconds.
missing=$("$python" -c 'from importlib.util import find_spec
print(*(name for name in ("torch", "fairseq") if find_spec(name) is None))') || refuse "PYTHON=$python failed"
[[ -z $missing ]] ||
  refuse "PYTHON=$python has no ${missing// /, no }; name the Python that fairseq_alone is installed in"

