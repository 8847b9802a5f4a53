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

. "$(dirname "${BASH_SOURCE[0]}")/../common/script.sh"

[[ $# -ge 2 ]] || refuse "usage: evaluate.sh WORK_DIR RUN_NAME [fairseq-generate flags...]"
find_package
enter_prepared "$1"
enter_run "$2"
shift 2
subwords=$(prepared SUBWORDS)
case $(prepared PRESET) in
  wmt16) average=10 ;;
  small) average=5 ;;
  *) average=3 ;;
esac
choose_checkpoints "${AVERAGE:-$average}"
test_set=$work/data-bin/test.$source_lang-$target_lang.$source_lang.bin
[[ -f $test_set ]] || refuse "$test_set is missing; run prepare.sh again"

# ---------------------------------------------------------------- skip what is done
decoding=(--beam "${BEAM:-4}" --lenpen "${LENPEN:-0.6}" --max-sentences "${BATCH:-64}" "$@")
settings=$(
  echo "decoding=${decoding[*]}"
  echo "test=$(cksum <"$test_set")"
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
