#!/usr/bin/env bash
# Average the last checkpoints of a run, translate the test set, score it.
#
#   evaluate.sh WORK_DIR RUN_NAME [fairseq-generate flags...]
#
# In WORK_DIR/runs/RUN_NAME: averaged.pt, generated.txt (fairseq-generate's output), test.hyp.TARGET_LANG (detokenised)
# and scores.json (BLEU and chrF with SacreBLEU signatures, examples). Skipped when nothing changed since last time.
#
# Variables (the default in brackets):
#   AVERAGE    how many checkpoints to average: the last ones, one per epoch [wmt16 10, small 5, demo 3]
#   BEAM       beam size [4]
#   LENPEN     exponent of the length penalty [0.6]
#   BATCH      sentences translated at a time [64]
#   CPU        1 = use no GPU [1 if torch sees none]
#   PYTHON     the Python that has fairseq_alone [python]
#
# Time: 400 sentences of Multi30k with the small model took 16 s on one core, start included. Expected numbers: see
# train.sh and demo.sh.
set -euo pipefail

refuse() {
  echo "evaluate.sh: error: $1" >&2
  exit 1
}

[[ $# -ge 2 ]] || refuse "usage: evaluate.sh WORK_DIR RUN_NAME [fairseq-generate flags...]"
work=$1 run_name=$2
shift 2
python=${PYTHON:-python}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=examples/common/package.sh
source "$here/../common/package.sh"
[[ -f $work/prepare.settings ]] || refuse "$work/prepare.settings is missing; run prepare.sh first"
work=$(cd "$work" && pwd)
prepared() { sed -n "s/^$1=//p" "$work/prepare.settings"; }
source_lang=$(prepared SOURCE_LANG)
target_lang=$(prepared TARGET_LANG)
subwords=$(prepared SUBWORDS)
run=$work/runs/$run_name
checkpoints=$run/checkpoints

case $(prepared PRESET) in
  wmt16) average=10 ;;
  small) average=5 ;;
  *) average=3 ;;
esac
average=${AVERAGE:-$average}
[[ $average =~ ^[1-9][0-9]*$ ]] || refuse "AVERAGE must be a positive whole number, got '$average'"
[[ -f $checkpoints/checkpoint_last.pt ]] || refuse "$checkpoints/checkpoint_last.pt is missing; run train.sh first"
[[ -f $run/done ]] || echo "evaluate.sh: the training of $run has not finished; this is the state so far"

# One checkpoint per epoch: checkpoint12.pt. A training shorter than an epoch has checkpoint_last.pt only.
mapfile -t chosen < <(find "$checkpoints" -maxdepth 1 -regex '.*/checkpoint[0-9]+\.pt' | sort -V | tail -n "$average")
((${#chosen[@]})) || chosen=("$checkpoints/checkpoint_last.pt")
((${#chosen[@]} == average)) ||
  echo "evaluate.sh: averaging ${#chosen[@]} checkpoint(s), because there are not $average"

# ---------------------------------------------------------------- skip what is done
decoding=(--beam "${BEAM:-4}" --lenpen "${LENPEN:-0.6}" --max-sentences "${BATCH:-64}" "$@")
settings=$(
  echo "decoding=${decoding[*]}"
  echo "reference=$(cksum <"$work/clean/test.$target_lang")"
  (cd "$checkpoints" && stat --format 'checkpoint=%n %s bytes %y' "${chosen[@]##*/}")
)
if [[ -f $run/scores.json && -f $run/evaluate.settings && $(<"$run/evaluate.settings") == "$settings" ]]; then
  echo "evaluate.sh: $run is evaluated already; nothing to do"
  exit 0
fi
# scores.json must not outlive the checkpoint that it belongs to.
rm -f "$run/evaluate.settings" "$run/scores.json"

# ---------------------------------------------------------------- average, translate, score
"$python" -m fairseq_alone average "${chosen[@]}" --output "$run/averaged.pt"

device=()
[[ ${CPU:-0} != 1 ]] || device=(--cpu)
echo "evaluate.sh: translating $(wc -l <"$work/clean/test.$target_lang") sentences"
# --required-batch-size-multiple 1: without it fairseq leaves out up to 7 sentences.
"$python" -m fairseq_cli.generate "$work/data-bin" --user-dir "$user_dir" \
  --task translation --source-lang "$source_lang" --target-lang "$target_lang" --gen-subset test \
  --path "$run/averaged.pt" --required-batch-size-multiple 1 "${device[@]}" "${decoding[@]}" \
  >"$run/generated.txt.part" 2>"$run/generate.log" || {
  tail -n 20 "$run/generate.log" "$run/generated.txt.part" >&2
  refuse "fairseq-generate failed; the whole of its messages is in $run/generate.log"
}
mv "$run/generated.txt.part" "$run/generated.txt"

join=(--subwords "$subwords")
# prepare.sh gives SentencePiece untokenised text, so there is nothing to detokenise.
[[ $subwords != sentencepiece ]] || join+=(--no-detokenize)
"$python" -m fairseq_alone score --generated "$run/generated.txt" --target-lang "$target_lang" "${join[@]}" \
  --reference "$work/clean/test.$target_lang" --source "$work/clean/test.$source_lang" \
  --hypotheses "$run/test.hyp.$target_lang" --output "$run/scores.json"
echo "$settings" >"$run/evaluate.settings.part" && mv "$run/evaluate.settings.part" "$run/evaluate.settings"
