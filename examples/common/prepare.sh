# What the prepare.sh of the recipes for translation and headlines share; source it. The recipe's script reads its
# arguments and variables, then calls, in this order:
#
#   check_merges, find_package    MERGES and WORKERS; python
#   enter_work_dir                make WORK_DIR, go there, keep others out
#   check_settings OUTCOME...     SETTINGS, and whether those of the outcomes that are there are the same
#   (the recipe)                  check the input; write_settings; tokenise
#   learn_pieces, split_into_pieces, same_lines, logged     for its steps
#   binarise FOLDER, report FOLDER UNITS                    the last two steps

. "$(dirname "${BASH_SOURCE[0]}")/script.sh"

SPLITS="train valid test"
WORKERS=${WORKERS:-$(nproc)}
# The same bytes on every machine, whatever its language.
export PYTHONUTF8=1 LC_ALL=C

say() { echo "prepare.sh: $*"; }

# logged NAME COMMAND...: run the command with its messages in prepare.NAME.log; show their end if it fails.
logged() {
  local log=$WORK_DIR/prepare.$1.log
  shift
  "$@" >"$log" 2>&1 || {
    tail -n 5 "$log" >&2
    refuse "the command above failed: $* (all its messages: $log)"
  }
}

check_merges() {
  [[ $MERGES =~ ^[1-9][0-9]*$ ]] || refuse "MERGES=$MERGES is not a positive whole number"
  [[ $WORKERS =~ ^[1-9][0-9]*$ ]] || refuse "WORKERS=$WORKERS is not a positive whole number"
}

enter_work_dir() {
  # Absolute, because the tools below are called from there as well.
  mkdir -p "$WORK_DIR"
  WORK_DIR=$(cd "$WORK_DIR" && pwd)
  cd "$WORK_DIR"
  # Two runs at once in one folder would write over each other. The lock ends with this process and its children.
  if command -v flock >/dev/null; then
    exec 9>"$WORK_DIR/.prepare.lock"
    flock -n 9 || refuse "another prepare.sh is running in $WORK_DIR"
  fi
}

# ---- settings: one folder holds the outcome of one set of settings ----

# check_settings OUTCOME...: SETTINGS is what the recipe's print_settings prints; where an outcome is, it must be the
# same as before.
check_settings() {
  local outcome there="" difference
  SETTINGS=$(print_settings)
  for outcome in "$@" codes sentencepiece.model data-bin; do
    [ ! -e "$outcome" ] || there=1
  done
  [ -n "$there" ] || return 0
  [ -f prepare.settings ] || refuse "$WORK_DIR has data but no prepare.settings; use a new WORK_DIR"
  if [ "$SETTINGS" != "$(cat prepare.settings)" ]; then
    difference=$(diff prepare.settings <(echo "$SETTINGS") | sed -n 's/^< /was /p; s/^> /now /p' | paste -sd ';' -) || true
    refuse "$WORK_DIR was made with other settings or data ($difference); use a new WORK_DIR, or delete it"
  fi
}

# Call it only when bad data has been refused: then the mended data does not count as changed.
write_settings() {
  echo "$SETTINGS" >prepare.settings.part
  mv prepare.settings.part prepare.settings
}

# ---- SentencePiece ----

# learn_pieces: MERGES joined pieces from both sides of the clean training set.
learn_pieces() {
  say "learning $MERGES joined pieces with SentencePiece"
  "$python" - "clean/train.$SOURCE_LANG" "clean/train.$TARGET_LANG" "$MERGES" "$WORKERS" <<'PYTHON'
import os
import sys

import sentencepiece

source, target, pieces, workers = sys.argv[1:]
try:
    sentencepiece.SentencePieceTrainer.train(
        input=[source, target],
        model_prefix="sentencepiece.part",
        model_type="bpe",
        vocab_size=int(pieces),
        character_coverage=1.0,
        num_threads=int(workers),
        minloglevel=2,
    )
except RuntimeError as error:
    sys.exit(f"prepare.sh: error: SentencePiece cannot learn MERGES={pieces} pieces from {source} and {target}: {error}")
os.replace("sentencepiece.part.vocab", "sentencepiece.vocab")
os.replace("sentencepiece.part.model", "sentencepiece.model")
PYTHON
}

# split_into_pieces INPUT OUTPUT
split_into_pieces() {
  "$python" - "$1" "$2" <<'PYTHON'
import sys

import sentencepiece

model = sentencepiece.SentencePieceProcessor(model_file="sentencepiece.model")
with open(sys.argv[1], newline="\n") as source, open(sys.argv[2], "w", newline="\n") as target:
    for line in source:
        print(*model.encode(line, out_type=str), file=target)
PYTHON
}

# ---- the same in every recipe ----

# same_lines FOLDER LANG...: every file of FOLDER has as many lines as its clean text. The two sides must stay parallel.
same_lines() {
  local folder=$1 split lang
  shift
  for split in $SPLITS; do
    for lang in "$@"; do
      [ "$(wc -l <"$folder/$split.$lang")" -eq "$(wc -l <"clean/$split.$lang")" ] ||
        refuse "$WORK_DIR/$folder/$split.$lang does not have as many lines as clean/$split.$lang"
    done
  done
}

# binarise FOLDER: make data-bin from the units in FOLDER, with one joined dictionary.
binarise() {
  [ ! -d data-bin ] || return 0
  say "binarising with fairseq"
  rm -rf data-bin.part
  logged data-bin "$python" -m fairseq_cli.preprocess --source-lang "$SOURCE_LANG" --target-lang "$TARGET_LANG" \
    --joined-dictionary --trainpref "$1/train" --validpref "$1/valid" --testpref "$1/test" \
    --destdir data-bin.part --workers "$WORKERS"
  mv data-bin.part data-bin
}

# report FOLDER UNITS: what came out.
report() {
  local split
  cat clean/report.txt
  [ ! -f "$1/report.txt" ] || cat "$1/report.txt"
  for split in $SPLITS; do
    say "$split: $(wc -l <"$1/$split.$SOURCE_LANG") pairs"
  done
  # fairseq adds <s>, <pad>, </s> and <unk>.
  say "joined vocabulary: $(($(wc -l <"data-bin/dict.$TARGET_LANG.txt") + 4)) entries ($2, MERGES=$MERGES)"
  say "ready: $WORK_DIR/data-bin"
}
