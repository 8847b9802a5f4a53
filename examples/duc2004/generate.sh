#!/usr/bin/env bash
# Average the last checkpoints of a run, write headlines of the desired lengths for the test set, re-rank them.
#
#   generate.sh WORK_DIR RUN_NAME [fairseq-generate flags...]
#
# In WORK_DIR/runs/RUN_NAME: averaged.pt, and for each length in headlines/
#   LENGTH.generated   fairseq-generate's output, the n best of each sentence
#   LENGTH.first       the model's own choice, one headline a line, in the order of the test set
#   LENGTH.reranked    of the n best, the headline that shares most content words with the source (fairseq-alone rerank)
#   LENGTH.settings    how they were made; a length whose settings and checkpoints are the same is skipped
#
# Variables (the default in brackets):
#   LENGTHS    desired lengths in characters; 0 = the length of the reference [30 50 75; for a run without a length
#              encoding: free, which asks for no length]
#   BEAM       beam size, and how many headlines are re-ranked [20]
#   AVERAGE    how many checkpoints to average: the last ones, one per epoch [gigaword 10, small 5]
#   BATCH      sentences decoded at a time [32]
#   CPU        1 = use no GPU [1 if torch sees none]
#   PYTHON     the Python that has fairseq_alone [python]
#
# Time: 800 sentences of the small preset, length 50, beam 20: 94 s of processor time on one core.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/../common/script.sh"

[[ $# -ge 2 ]] || refuse "usage: generate.sh WORK_DIR RUN_NAME [fairseq-generate flags...]"
work=$1 run_name=$2
shift 2
for flag in "$@"; do
  case ${flag%%=*} in
    --desired-length) refuse "--desired-length is set by the variable LENGTHS" ;;
    --beam | --nbest) refuse "${flag%%=*} is set by the variable BEAM" ;;
    --required-batch-size-multiple | --gen-subset | --task | --path)
      refuse "${flag%%=*} is fixed by generate.sh; the other scripts rely on it" ;;
  esac
done
find_package
export PYTHONUTF8=1
enter_prepared "$work"
enter_run "$run_name"
[[ $(prepared PRESET) == gigaword ]] && average=10 || average=5
choose_checkpoints "${AVERAGE:-$average}"
beam=${BEAM:-20}
positive BEAM "$beam"
positive BATCH "${BATCH:-32}"
grep -qs '^length=none$' "$run/settings" && lengths=free || lengths="30 50 75"
read -r -a lengths <<<"${LENGTHS:-$lengths}"
((${#lengths[@]})) || refuse "LENGTHS is empty"
for length in "${lengths[@]}"; do
  [[ $length == free || $length =~ ^(0|[1-9][0-9]*)$ ]] ||
    refuse "LENGTHS must be whole numbers or the word free, got '$length'"
done
[[ $(prepared TARGET_UNITS) == characters ]] ||
  echo "generate.sh: the headlines of $work are split into SentencePiece's pieces; lengths are counted in pieces"

test_set=$work/data-bin/test.$source_lang-$target_lang.$source_lang.bin
[[ -f $test_set ]] || refuse "$test_set is missing; run prepare.sh again"
checkpoint_settings=$(cd "$checkpoints" && stat --format 'checkpoint=%n %s bytes %y' "${chosen[@]##*/}")

device=()
[[ ${CPU:-0} != 1 ]] || device=(--cpu)
# BATCH changes no result, so it is no setting.
decoding=(--beam "$beam" --nbest "$beam" "$@")
mkdir -p "$run/headlines"

averaged=
for length in "${lengths[@]}"; do
  out=$run/headlines/$length
  settings=$(
    echo "decoding=${decoding[*]}"
    echo "test=$(cksum <"$test_set")"
    echo "$checkpoint_settings"
  )
  if [[ -f $out.settings && $(<"$out.settings") == "$settings" ]]; then
    echo "generate.sh: the headlines of length $length are there already"
    continue
  fi
  # They must not outlive the checkpoint that they belong to.
  rm -f "$out.settings" "$out.first" "$out.reranked"
  if [[ -z $averaged ]]; then
    "$python" -m fairseq_alone average "${chosen[@]}" --output "$run/averaged.pt"
    averaged=1
  fi
  desired=()
  [[ $length == free ]] || desired=(--desired-length "$length")
  echo "generate.sh: length $length: decoding $(wc -l <"$work/clean/test.$source_lang") sentences with beam $beam"
  # --required-batch-size-multiple 1: without it fairseq leaves out up to 7 sentences.
  "$python" -m fairseq_cli.generate "$work/data-bin" --user-dir "$user_dir" \
    --task headline_generation --source-lang "$source_lang" --target-lang "$target_lang" --gen-subset test \
    --path "$run/averaged.pt" --required-batch-size-multiple 1 --max-sentences "${BATCH:-32}" \
    "${device[@]}" "${decoding[@]}" "${desired[@]}" >"$out.generated.part" 2>"$out.log" || {
    tail -n 20 "$out.log" "$out.generated.part" >&2
    refuse "fairseq-generate failed; the whole of its messages is in $out.log"
  }
  mv "$out.generated.part" "$out.generated"
  # rerank asserts that every sentence of the source has its headlines, and puts characters back into words.
  "$python" -m fairseq_alone rerank --generated "$out.generated" --source "$work/clean/test.$source_lang" \
    --output "$out.reranked" --first "$out.first"
  echo "$settings" >"$out.settings.part" && mv "$out.settings.part" "$out.settings"
done
