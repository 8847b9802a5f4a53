#!/usr/bin/env bash
# The old name of `fairseq-alone train`, with its variables, for one release.
PYTHONPATH=$(cd "$(dirname "$0")/../.." && pwd)${PYTHONPATH:+:$PYTHONPATH} \
  exec "${PYTHON:-python}" -m fairseq_alone.recipes.old_variables headlines train "$@"
