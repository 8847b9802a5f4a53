#!/usr/bin/env bash
# Word-level perplexity of a run's best checkpoint on the validation and the test set.
#
#   evaluate.sh WORK_DIR RUN_NAME
#
# In WORK_DIR/runs/RUN_NAME: eval.valid.log, eval.test.log (fairseq-eval-lm's output) and scores.json. Every word and
# every end of a sentence counts once; a missing one is an error. The text is one stream, cut every CONTEXT words; only
# at a cut does the LSTM start with an empty state. Skipped when nothing changed since last time.
#
# Variables (the default in brackets):
#   CONTEXT    words between two cuts [2000]
#   CPU        1 = use no GPU [1 if torch sees none]
#   PYTHON     the Python that has fairseq_alone [python]
#
# Time: 40 s of one core of an AMD EPYC for the Penn Treebank, both sets together.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/../common/script.sh"

[[ $# -eq 2 ]] || refuse "usage: evaluate.sh WORK_DIR RUN_NAME"
work=$1 run_name=$2
context=${CONTEXT:-2000}
[[ $context =~ ^[1-9][0-9]*$ ]] || refuse "CONTEXT must be a positive whole number, got '$context'"
find_package
[[ -f $work/clean/counts ]] || refuse "$work/clean/counts is missing; run prepare.sh first"
work=$(cd "$work" && pwd)
run=$work/runs/$run_name
checkpoint=$run/checkpoints/checkpoint_best.pt
[[ -f $checkpoint ]] || refuse "$checkpoint is missing; run train.sh first"
[[ -f $run/done ]] || echo "evaluate.sh: the training of $run has not finished; this is the state so far"

settings="context=$context $(stat --format 'checkpoint=%s bytes %y' "$checkpoint")"
if [[ -f $run/scores.json && -f $run/evaluate.settings && $(<"$run/evaluate.settings") == "$settings" ]]; then
  echo "evaluate.sh: $run is evaluated already; nothing to do"
  exit 0
fi
# scores.json must not outlive the checkpoint that it belongs to.
rm -f "$run/evaluate.settings" "$run/scores.json"

device=()
[[ ${CPU:-0} != 1 ]] || device=(--cpu)
entries=()
for split in valid test; do
  log=$run/eval.$split.log
  # One piece at a time, so that the memory for the logits does not depend on the machine.
  "$python" -m fairseq_cli.eval_lm "$work/data-bin" --user-dir "$user_dir" --path "$checkpoint" --gen-subset "$split" \
    --sample-break-mode none --tokens-per-sample "$context" --max-tokens "$context" --required-batch-size-multiple 1 \
    --num-workers 0 --no-progress-bar "${device[@]}" >"$log" 2>&1 || {
    tail -n 5 "$log" >&2
    refuse "fairseq-eval-lm failed; the whole of its messages is in $log"
  }
  counted=$(sed -n 's/.*Evaluated \([0-9,]*\) tokens.*/\1/p' "$log" | tr -d ,)
  perplexity=$(sed -n 's/.*, Perplexity: \([0-9.]*\)$/\1/p' "$log")
  expected=$(($(sed -n "s/^$split: \([0-9]*\) sentences, \([0-9]*\) words$/\1+\2/p" "$work/clean/counts")))
  [[ $counted == "$expected" ]] ||
    refuse "fairseq-eval-lm counted ${counted:-no} words, but $split has $expected with the ends of sentences; see $log"
  [[ -n $perplexity ]] || refuse "fairseq-eval-lm printed no perplexity that is a number; see $log"
  echo "evaluate.sh: $run_name, $split: perplexity $perplexity over $counted words and ends of sentences"
  entries+=("\"$split\": {\"perplexity\": $perplexity, \"tokens\": $counted}")
done
printf '{"language_model": {%s, %s}}\n' "${entries[@]}" >"$run/scores.json.part"
mv "$run/scores.json.part" "$run/scores.json"
echo "$settings" >"$run/evaluate.settings.part" && mv "$run/evaluate.settings.part" "$run/evaluate.settings"
