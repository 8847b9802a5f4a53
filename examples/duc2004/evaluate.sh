#!/usr/bin/env bash
# Score the headlines that generate.sh wrote: ROUGE as in DUC 2004 task 1, and how well the lengths were kept.
#
#   evaluate.sh WORK_DIR RUN_NAME [--json]
#
# The table goes to the screen (--json: JSON in its place). In WORK_DIR/runs/RUN_NAME: headline_scores.json,
# headline_scores.md and lengths.png, the distribution of the lengths after re-ranking.
#
#   lead       the first bytes of the source, as many as the desired length: the baseline of DUC 2004
#   first      the model's own choice
#   reranked   after re-ranking
#
# With TARGET_UNITS=sentencepiece a desired length is a number of pieces, which no number of characters or bytes answers to:
# then it stands in the name of the row, without a lead, a variance or a picture.
#
# ROUGE-1, -2 and -L are recall by the original ROUGE-1.5.5.pl: -m (stemming), -n 2, -b BYTES, all references.
# It needs perl with DB_File: Debian's package perl has it (the smaller perl-base does not).
#
# Variables (the default in brackets):
#   LENGTHS    the lengths to score, in this order [all that generate.sh has done]
#   BYTES      ROUGE sees so many bytes of headlines and references; 0 = all [75]
#   PYTHON     the Python that has fairseq_alone with its extra: pip install 'fairseq-alone[summarization]' [python]
#
# Time: 14 s for three lengths (800 sentences, three rows of the table each).
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/../common/script.sh"

[[ $# -eq 2 || ($# -eq 3 && $3 == --json) ]] || refuse "usage: evaluate.sh WORK_DIR RUN_NAME [--json]"
find_package
export PYTHONUTF8=1
enter_prepared "$1"
run=$work/runs/$2 json=${3:-} units=$(prepared TARGET_UNITS)

# A length is done when its settings are there.
done_lengths=$(find "$run/headlines/" -maxdepth 1 -name '*.settings' -printf '%f\n' 2>/dev/null | sed 's/\.settings$//' | sort -V | paste -sd ' ') || true
read -r -a lengths <<<"${LENGTHS:-$done_lengths}"
((${#lengths[@]})) || refuse "$run/headlines has no headlines; run generate.sh first"
headlines=()
for length in "${lengths[@]}"; do
  [[ -f $run/headlines/$length.settings ]] ||
    refuse "$run/headlines/$length.settings is missing; run LENGTHS=$length generate.sh first"
  cmp -s "$run/headlines/$length.settings" "$run/headlines/${lengths[0]}.settings" ||
    refuse "the headlines of the lengths ${lengths[0]} and $length come from other checkpoints or flags; run generate.sh" \
      "for both, or choose with LENGTHS"
  desired=$length row=
  if [[ $units != characters && $length != free ]]; then
    desired=free row=" ($length pieces)"
    [[ $length != 0 ]] || row=" (as many pieces as the reference)"
  fi
  for name in first reranked; do
    headlines+=(--headlines "$name$row" "$desired" "$run/headlines/$length.$name")
  done
done
plot=()
[[ $units != characters ]] || plot=(--plot "$run/lengths.png" --plot-name reranked)
mapfile -t references < <(find "$work/references/" -name "test.$target_lang.*" | sort -V)
((${#references[@]})) || refuse "$work/references is empty; run prepare.sh again"

score() {
  "$python" -m fairseq_alone score-headlines "${headlines[@]}" --source "$work/clean/test.$source_lang" \
    --references "${references[@]}" --bytes "${BYTES:-75}" "${plot[@]}" --output "$run/headline_scores.json" "$@"
}
if [[ -n $json ]]; then
  score --json
else
  score | tee "$run/headline_scores.md.part"
  mv "$run/headline_scores.md.part" "$run/headline_scores.md"
fi
