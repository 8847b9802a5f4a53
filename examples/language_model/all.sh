#!/usr/bin/env bash
# The five language models of the table: prepare, train one after the other, evaluate, compare, plot.
#
#   all.sh WORK_DIR CORPUS_DIR
#
# The models, by the names of Inan et al. (2017), in WORK_DIR/runs:
#   baseline    two tables, cross-entropy
#   al          two tables, augmented loss
#   re          one table for input and output
#   real        one table, augmented loss
#   alone_re    ALONE in place of the one table, cross-entropy
#
# Variables: those of train.sh, except EMBEDDING, TIE, AUGMENTED_LOSS, QUIET and DRY_RUN; GAMMA, the weight of the
# augmented loss [0.5]. Run it again after an interruption: it skips what is done.
#
# Time: PRESET=small needs 3 hours of one core, by the times in train.sh.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../common/script.sh"

[[ $# -eq 2 ]] || refuse "usage: all.sh WORK_DIR CORPUS_DIR"
find_package
export QUIET=1
gamma=${GAMMA:-0.5}
"$here/prepare.sh" "$1" "$2"
work=$(cd "$1" && pwd)

train() { # RUN_NAME EMBEDDING TIE AUGMENTED_LOSS
  echo "all.sh: $1: messages in $work/runs/$1/train.log"
  EMBEDDING=$2 TIE=$3 AUGMENTED_LOSS=$4 "$here/train.sh" "$work" "$1"
  "$here/evaluate.sh" "$work" "$1"
}
train baseline conventional none 0
train real conventional decoder "$gamma"
train re conventional decoder 0
train al conventional none "$gamma"
train alone_re alone decoder 0

runs=("$work/runs/baseline" "$work/runs/al" "$work/runs/re" "$work/runs/real" "$work/runs/alone_re")
"$python" -m fairseq_alone plot "${runs[@]}" --x epochs --y ppl --output "$work/perplexity.png"
"$python" -m fairseq_alone compare "${runs[@]}"
