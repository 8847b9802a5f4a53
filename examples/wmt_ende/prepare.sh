#!/usr/bin/env bash
# Data for the recipe: check, clean, tokenise, split into joined subwords, binarise for fairseq.
#
#   prepare.sh WORK_DIR [CORPUS_DIR]
#
# CORPUS_DIR holds train, valid and test in two suffixes: train.en train.de valid.en ... It is needed for PRESET=small.
# With PRESET=wmt16 it replaces the download; with PRESET=demo it is not used.
#
# Variables (environment), with their defaults:
#   PRESET=small           wmt16 | small | demo
#   SUBWORDS=subword-nmt   subword-nmt (after Moses tokenisation) | sentencepiece (on the untokenised text)
#   SOURCE_LANG=en TARGET_LANG=de
#   MERGES                 merges of subword-nmt, or pieces of SentencePiece: 32000 wmt16, 8000 small, 1000 demo
#   WORKERS                processes (default: all cores)
#   PYTHON=python          the Python that has the package installed; nothing needs to be activated
#
# Result in WORK_DIR:
#   clean/       checked text; clean/test.TARGET_LANG is the reference for scoring (untokenised, cased)
#   tokenized/   Moses tokens (subword-nmt only)
#   subwords/    joined subwords; codes (subword-nmt) or sentencepiece.model (SentencePiece) beside it
#   data-bin/    for fairseq-train
#   prepare.settings   the settings of all this; other settings need another WORK_DIR
#   corpus/      demo and wmt16: the raw text, in the layout of CORPUS_DIR (give it as such to another WORK_DIR)
#
# A step is skipped when its outcome is there, so the script can be run again after any interruption.
#
# Expect: demo 15 s, Multi30k (29,000 pairs) 30 s on 2 cores. wmt16: 4.5 million pairs, a download of 1.6 GB, about
# 12 GB of disk, 16 GB of memory and 2 hours on 8 cores (estimated from the speed on Multi30k, not measured).
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/../common/prepare.sh"

[ $# -ge 1 ] && [ $# -le 2 ] || refuse "usage: prepare.sh WORK_DIR [CORPUS_DIR]"
WORK_DIR=$1
CORPUS_DIR=${2:-}
PRESET=${PRESET:-small}
SUBWORDS=${SUBWORDS:-subword-nmt}
SOURCE_LANG=${SOURCE_LANG:-en}
TARGET_LANG=${TARGET_LANG:-de}

case $PRESET in
  wmt16) DEFAULT_MERGES=32000 ;;
  small) DEFAULT_MERGES=8000 ;;
  demo) DEFAULT_MERGES=1000 ;;
  *) refuse "PRESET=$PRESET is not one of wmt16, small, demo" ;;
esac
MERGES=${MERGES:-$DEFAULT_MERGES}
check_merges
case $SUBWORDS in
  subword-nmt | sentencepiece) ;;
  *) refuse "SUBWORDS=$SUBWORDS is not one of subword-nmt, sentencepiece" ;;
esac
[ "$SOURCE_LANG" != "$TARGET_LANG" ] || refuse "SOURCE_LANG and TARGET_LANG are both $SOURCE_LANG"
if [ "$PRESET" = demo ] || { [ "$PRESET" = wmt16 ] && [ -z "$CORPUS_DIR" ]; }; then
  [ "$SOURCE_LANG-$TARGET_LANG" = en-de ] || [ "$SOURCE_LANG-$TARGET_LANG" = de-en ] ||
    refuse "PRESET=$PRESET has English and German only, but SOURCE_LANG=$SOURCE_LANG and TARGET_LANG=$TARGET_LANG"
fi
if [ "$PRESET" = demo ]; then
  [ -z "$CORPUS_DIR" ] || refuse "PRESET=demo makes its own data; drop CORPUS_DIR ($CORPUS_DIR) or use PRESET=small"
fi
if [ "$PRESET" = small ]; then
  [ -n "$CORPUS_DIR" ] || refuse "PRESET=small needs CORPUS_DIR: prepare.sh WORK_DIR CORPUS_DIR"
fi
if [ -n "$CORPUS_DIR" ]; then
  for split in $SPLITS; do
    for lang in "$SOURCE_LANG" "$TARGET_LANG"; do
      [ -f "$CORPUS_DIR/$split.$lang" ] || refuse "$CORPUS_DIR/$split.$lang: there is no such file"
    done
  done
  CORPUS_DIR=$(cd "$CORPUS_DIR" && pwd)
fi
find_package
enter_work_dir

print_settings() {
  echo "PRESET=$PRESET"
  echo "SUBWORDS=$SUBWORDS"
  echo "SOURCE_LANG=$SOURCE_LANG"
  echo "TARGET_LANG=$TARGET_LANG"
  echo "MERGES=$MERGES"
  if [ -n "$CORPUS_DIR" ]; then
    # Checksum and size, so that changed data is noticed and a moved folder does not matter.
    for split in $SPLITS; do
      for lang in "$SOURCE_LANG" "$TARGET_LANG"; do
        echo "$split.$lang=$(cksum <"$CORPUS_DIR/$split.$lang")"
      done
    done
  fi
}

check_settings corpus clean tokenized subwords

# ---- data ----

if [ -n "$CORPUS_DIR" ]; then
  CORPUS=$CORPUS_DIR
else
  CORPUS=$WORK_DIR/corpus
  write_settings
  # Either writes into corpus.part; the rename makes all of it appear at once.
  if [ ! -d corpus ]; then
    rm -rf corpus.part
    if [ "$PRESET" = demo ]; then
      say "generating the demo corpus"
      "$python" "$HERE/generate_demo_corpus.py" corpus.part >/dev/null
    else
      PYTHON="$python" bash "$HERE/download_wmt16.sh" download corpus.part
    fi
    mv corpus.part corpus
  fi
fi

# ---- check and clean ----

if [ ! -d clean ]; then
  say "checking $CORPUS"
  rm -rf clean.part
  mkdir clean.part
  "$python" -m fairseq_alone check-corpus \
    "$CORPUS/train" "$CORPUS/valid" "$CORPUS/test" --source-lang "$SOURCE_LANG" --target-lang "$TARGET_LANG" \
    --output clean.part/train clean.part/valid clean.part/test >clean.part/report.txt
  write_settings
  mv clean.part clean
fi

# ---- tokenise ----

TEXT=clean
if [ "$SUBWORDS" = subword-nmt ]; then
  TEXT=tokenized
  if [ ! -d tokenized ]; then
    say "tokenising with sacremoses"
    rm -rf tokenized.part
    mkdir tokenized.part
    for split in $SPLITS; do
      for lang in "$SOURCE_LANG" "$TARGET_LANG"; do
        "$python" -m sacremoses -q -l "$lang" -j "$WORKERS" tokenize <"clean/$split.$lang" >"tokenized.part/$split.$lang"
      done
    done
    mv tokenized.part tokenized
  fi
fi

# ---- joined subwords: one set of merges for both languages ----

if [ "$SUBWORDS" = subword-nmt ] && [ ! -f codes ]; then
  say "learning $MERGES joined BPE merges with subword-nmt"
  cat "tokenized/train.$SOURCE_LANG" "tokenized/train.$TARGET_LANG" >train.joined.part
  logged codes "$python" -m subword_nmt.learn_bpe -s "$MERGES" --num-workers "$WORKERS" -i train.joined.part -o codes.part
  rm train.joined.part
  mv codes.part codes
fi

[ "$SUBWORDS" != sentencepiece ] || [ -f sentencepiece.model ] || learn_pieces

# apply INPUT OUTPUT
apply() {
  if [ "$SUBWORDS" = subword-nmt ]; then
    "$python" -m subword_nmt.apply_bpe -c codes --num-workers "$WORKERS" -i "$1" -o "$2"
  else
    split_into_pieces "$1" "$2"
  fi
}

if [ ! -d subwords ]; then
  say "splitting into subwords"
  rm -rf subwords.part
  mkdir subwords.part
  for split in $SPLITS; do
    for lang in "$SOURCE_LANG" "$TARGET_LANG"; do
      apply "$TEXT/$split.$lang" "subwords.part/$split.$lang"
    done
  done
  same_lines subwords.part "$SOURCE_LANG" "$TARGET_LANG"
  if [ "$PRESET" = wmt16 ]; then
    # The usual cleaning of WMT's training data: 1 to 250 subwords a side, and at most 1.5 times the other side.
    # The text has no tab: check-corpus turned them into spaces.
    mkdir subwords.part/kept
    paste "subwords.part/train.$SOURCE_LANG" "subwords.part/train.$TARGET_LANG" |
      awk -F '\t' -v source="subwords.part/kept/train.$SOURCE_LANG" -v target="subwords.part/kept/train.$TARGET_LANG" '
        {
          n = split($1, words, " "); m = split($2, words, " ")
          if (n >= 1 && m >= 1 && n <= 250 && m <= 250 && n <= 1.5 * m && m <= 1.5 * n) { print $1 > source; print $2 > target }
          else dropped++
        }
        END { printf "train: %d of %d clean pairs dropped by length (1 to 250 subwords, ratio 1.5)\n", dropped, NR }
      ' >subwords.part/report.txt
    mv subwords.part/kept/* subwords.part/
    rmdir subwords.part/kept
  fi
  mv subwords.part subwords
fi

# ---- binarise ----

binarise subwords
report subwords "$SUBWORDS"
