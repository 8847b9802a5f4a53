#!/usr/bin/env bash
# The whole recipe in miniature: make a corpus, train a conventional Transformer and one with an ALONE embedding of
# half the size, translate, compare. No download.
#
#   demo.sh [DIR]      DIR: where everything goes [demo, in the top folder of the checkout]
#
# Variables: PYTHON, the Python that has fairseq_alone [python]. Run it again after an interruption: it skips what is
# done.
#
# Hardware: 2 cores (Intel Xeon), no GPU; the two trainings run side by side with one thread each.
# Time: 4 min 4 s in all.
# Expected: 92.3 BLEU (conventional, 55,808 embedding parameters) and 92.7 BLEU (ALONE, 27,767), one seed each.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../common/script.sh"

find_package
work=${1:-$here/../../demo}
export PRESET=demo
models=(conventional alone_share)
mkdir -p "$work"
work=$(cd "$work" && pwd)

"$here/prepare.sh" "$work"

# One process and one thread for each model: with more, they would only wait for each other.
export OMP_NUM_THREADS=1 WORKERS=1 QUIET=1
pids=()
stop() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
}
trap 'stop; exit 143' TERM
trap 'stop; exit 130' INT
for model in "${models[@]}"; do
  echo "demo.sh: training $model in $work/runs/$model"
  EMBEDDING=$model "$here/train.sh" "$work" "$model" &
  pids+=($!)
done
# A line for each epoch that has ended. The trainings write their full messages to train.log only.
declare -A shown
show_progress() {
  local model epochs line
  for model in "${models[@]}"; do
    [[ -f $work/runs/$model/train.log ]] || continue
    epochs=$(grep -c '"valid_ppl"' "$work/runs/$model/train.log") || continue
    [[ $epochs != "${shown[$model]:-}" ]] || continue
    shown[$model]=$epochs
    line=$(grep '"valid_ppl"' "$work/runs/$model/train.log" | tail -n 1)
    echo "demo.sh: $model, epoch $(sed -E 's/.*"epoch": ([0-9]+).*/\1/' <<<"$line"): valid perplexity" \
      "$(sed -E 's/.*"valid_ppl": "([^"]*)".*/\1/' <<<"$line")"
  done
}
while ((${#pids[@]})); do
  show_progress
  for i in "${!pids[@]}"; do
    kill -0 "${pids[i]}" 2>/dev/null && continue
    wait "${pids[i]}" || { stop && refuse "a training failed; see the message above"; }
    unset "pids[i]"
  done
  sleep 1
done

for model in "${models[@]}"; do
  echo "demo.sh: evaluating $model"
  "$here/evaluate.sh" "$work" "$model"
done

echo
"$python" -m fairseq_alone compare "${models[@]/#/$work/runs/}" --examples 3 --output "$work/result.md"
echo
echo "demo.sh: this table is in $work/result.md too"
