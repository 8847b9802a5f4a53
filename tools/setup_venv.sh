#!/usr/bin/env bash
# Makes a virtual environment with everything the package, its tests and its recipes need. Used by `make`.
# Usage: [PYTHON=python3.11] setup_venv.sh VENV
# Takes about 3 minutes on 2 cores; most of it compiles fairseq, which has no wheel for Python 3.11.
set -euo pipefail

venv=${1:?usage: setup_venv.sh VENV}
python=${PYTHON:-python3}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
constraints=$root/constraints.txt

say() { printf '== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

if [ -e "$venv" ] && ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  say "$venv is damaged (an interrupted set-up?): making it again"
  rm -rf "$venv"
fi
if [ ! -e "$venv" ]; then
  command -v "$python" >/dev/null || fail "there is no $python: install Python 3.11 or 3.12, or name one with PYTHON=..."
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  case $version in
    3.11 | 3.12) ;;
    *) fail "fairseq_alone needs Python 3.11 or 3.12, but $python is $version: name another with PYTHON=..." ;;
  esac
  say "making $venv with Python $version"
  "$python" -m venv "$venv"
fi

install() { "$venv/bin/python" -m pip install --quiet --constraint "$constraints" "$@"; }

say "1/3 torch (a large download)"
install torch setuptools wheel cython numpy
# In an isolated build pip would download a second torch, only to compile fairseq.
say "2/3 fairseq (compiles for about two minutes where there is no wheel)"
install --no-build-isolation fairseq-fixed
say "3/3 fairseq_alone and the tools for tests and recipes"
install --no-build-isolation --editable "${root}[test,export,plot,summarization]"
# fairseq-fixed asks for torchaudio, which nothing here uses. One of another build than torch cannot be imported, and
# Hugging Face's transformers tries to import any that is there.
if ! "$venv/bin/python" -c "import torchaudio" >/dev/null 2>&1; then
  "$venv/bin/python" -m pip uninstall --quiet --yes torchaudio
fi
say "done: to use it, run: . $venv/bin/activate"
