#!/usr/bin/env bash
# Data for headline generation: check, clean, split (source: subwords, headline: characters), binarise for fairseq.
#
#   prepare.sh WORK_DIR CORPUS_DIR [DUC_DIR]
#
# CORPUS_DIR holds train, valid and test in one of three forms:
#   train.tsv              SENTENCE<tab>HEADLINE, one pair a line
#   train.source, train.title    two parallel files
#   train.article.txt, train.title.txt, valid.article.filter.txt ...    what the NAMAS scripts make of the annotated
#                          English Gigaword (LDC2012T21): https://github.com/facebookarchive/NAMAS, construct_data.sh
# DUC_DIR is the DUC 2004 task 1 test set (500 sentences, 4 references each): input.txt and task1_ref0.txt to
# task1_ref3.txt, as the same scripts write them (DUC/setup.sh makes the folder clean_2004). It takes the place of the
# test set of CORPUS_DIR. Both corpora are licensed: LDC has Gigaword, NIST has DUC (https://duc.nist.gov/data.html).
#
# Variables (environment), with their defaults:
#   PRESET=small             gigaword | small
#   TARGET_UNITS=characters  characters (the source in subword-nmt's BPE) | sentencepiece (both sides in SentencePiece;
#                            lengths are then counted in pieces)
#   MERGES                   merges of subword-nmt, or pieces of SentencePiece: 16000 gigaword, 4000 small
#   LOWERCASE=1              1 = all text in lower case, as in Gigaword's training data; ROUGE does not see the case
#   WORKERS                  processes (default: all cores)
#   PYTHON=python            the Python that has the package installed; nothing needs to be activated
#
# Result in WORK_DIR:
#   clean/       checked text: train, valid and test, each .source and .title
#   references/  test.title.0 ... : the references for scoring, one file for each (four for DUC)
#   tokenized/   Moses tokens of the source (not for NAMAS data, which has tokens, nor for SentencePiece)
#   units/       source in subwords, headlines in characters; codes or sentencepiece.model beside it
#   data-bin/    for fairseq-train, with one joined dictionary
#   prepare.settings   the settings of all this; other settings need another WORK_DIR
#
# A step is skipped when its outcome is there, so the script can be run again after any interruption.
#
# Expect: 13,000 pairs took 40 s of one core. Gigaword was not run by us.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/../common/prepare.sh"

[ $# -ge 2 ] && [ $# -le 3 ] || refuse "usage: prepare.sh WORK_DIR CORPUS_DIR [DUC_DIR]"
WORK_DIR=$1
CORPUS_DIR=$2
DUC_DIR=${3:-}
PRESET=${PRESET:-small}
TARGET_UNITS=${TARGET_UNITS:-characters}
LOWERCASE=${LOWERCASE:-1}
SOURCE_LANG=source
TARGET_LANG=title

case $PRESET in
  gigaword) DEFAULT_MERGES=16000 ;;
  small) DEFAULT_MERGES=4000 ;;
  *) refuse "PRESET=$PRESET is not one of gigaword, small" ;;
esac
MERGES=${MERGES:-$DEFAULT_MERGES}
check_merges
[[ $LOWERCASE =~ ^[01]$ ]] || refuse "LOWERCASE=$LOWERCASE is not 0 or 1"
case $TARGET_UNITS in
  characters | sentencepiece) ;;
  *) refuse "TARGET_UNITS=$TARGET_UNITS is not one of characters, sentencepiece" ;;
esac
[ -d "$CORPUS_DIR" ] || refuse "$CORPUS_DIR: there is no such folder"
CORPUS_DIR=$(cd "$CORPUS_DIR" && pwd)

# ---- which form of corpus: its name, and for each split the suffixes of its two files ----

FORMS=()
[ ! -f "$CORPUS_DIR/train.tsv" ] || FORMS+=(tsv)
[ ! -f "$CORPUS_DIR/train.source" ] || FORMS+=(parallel)
[ ! -f "$CORPUS_DIR/train.article.txt" ] || FORMS+=(namas)
[ ${#FORMS[@]} -ge 1 ] ||
  refuse "$CORPUS_DIR has none of train.tsv, train.source (with train.title), train.article.txt (with train.title.txt)"
[ ${#FORMS[@]} -eq 1 ] || refuse "$CORPUS_DIR has a training set in more than one form (${FORMS[*]}); keep one"
FORM=${FORMS[0]}
# TEST: the test set comes from CORPUS_DIR.
[ -z "$DUC_DIR" ] && TEST=1 || TEST=
CORPUS_SPLITS="train valid${TEST:+ test}"

# suffixes SPLIT: the suffixes of the two files of a split in CORPUS_DIR; the same word twice for a .tsv file.
suffixes() {
  case $FORM in
    tsv) echo tsv tsv ;;
    parallel) echo source title ;;
    # NAMAS filters train and valid; its filtered valid has another name.
    namas) [ "$1" = valid ] && echo article.filter.txt title.filter.txt || echo article.txt title.txt ;;
  esac
}
for split in $CORPUS_SPLITS; do
  for suffix in $(suffixes "$split"); do
    [ -f "$CORPUS_DIR/$split.$suffix" ] || refuse "$CORPUS_DIR/$split.$suffix: there is no such file"
  done
done
find_package
tool() { "$python" -m fairseq_alone "$@"; }
# The tool checks the folder, and explains how to get the test set if it is not there.
[ ! -d "$DUC_DIR" ] || DUC_DIR=$(cd "$DUC_DIR" && pwd)

enter_work_dir

print_settings() {
  echo "PRESET=$PRESET"
  echo "SOURCE_LANG=$SOURCE_LANG"
  echo "TARGET_LANG=$TARGET_LANG"
  echo "TARGET_UNITS=$TARGET_UNITS"
  echo "MERGES=$MERGES"
  echo "LOWERCASE=$LOWERCASE"
  echo "FORM=$FORM"
  # Checksum and size, so that changed data is noticed and a moved folder does not matter.
  local split suffix
  for split in $CORPUS_SPLITS; do
    for suffix in $(suffixes "$split" | tr ' ' '\n' | uniq); do
      echo "$split.$suffix=$(cksum <"$CORPUS_DIR/$split.$suffix")"
    done
  done
  # The references lie beside input.txt or in a subfolder.
  [ -z "$DUC_DIR" ] || echo "duc=$(cat "$DUC_DIR"/input.txt "$DUC_DIR"/{,references/}task1_ref?.txt 2>/dev/null | cksum)"
}

check_settings clean references tokenized units

# ---- check and clean ----

if [ ! -d clean ]; then
  say "checking $CORPUS_DIR"
  rm -rf clean.part references references.part
  mkdir -p clean.part/checked references.part
  form=()
  [ "$FORM" != tsv ] || form=(--tsv)
  lowercase=()
  [ "$LOWERCASE" = 0 ] || lowercase=(--lowercase)
  if [ -n "$DUC_DIR" ]; then
    digits=()
    # NAMAS writes # for each digit in Gigaword, but not in DUC.
    [ "$FORM" != namas ] || digits=(--hide-digits)
    tool duc2004 "$DUC_DIR" --source "clean.part/test.$SOURCE_LANG" --references "references.part/test.$TARGET_LANG" \
      "${lowercase[@]}" "${digits[@]}" >>clean.part/report.txt
    # fairseq knows one reference; scoring takes all of references/.
    cp "references.part/test.$TARGET_LANG.0" "clean.part/test.$TARGET_LANG"
  fi
  # check_splits SPLIT...: those whose files have the same suffixes, in one call.
  check_splits() {
    local source_suffix target_suffix split inputs=() outputs=()
    read -r source_suffix target_suffix <<<"$(suffixes "$1")"
    [ "$FORM" != tsv ] || { source_suffix=$SOURCE_LANG target_suffix=$TARGET_LANG; }
    for split in "$@"; do inputs+=("$CORPUS_DIR/$split") outputs+=("clean.part/checked/$split"); done
    tool check-corpus "${inputs[@]}" "${form[@]}" --source-lang "$source_suffix" --target-lang "$target_suffix" \
      --output "${outputs[@]}" >>clean.part/report.txt
    [ "$FORM" = namas ] || return 0
    for split in "$@"; do
      mv "clean.part/checked/$split.$source_suffix" "clean.part/checked/$split.$SOURCE_LANG"
      mv "clean.part/checked/$split.$target_suffix" "clean.part/checked/$split.$TARGET_LANG"
    done
  }
  if [ "$FORM" = namas ]; then
    check_splits train ${TEST:+test}
    check_splits valid
  else
    check_splits train valid ${TEST:+test}
  fi
  say "normalising"
  # A pair of the test set is never dropped: its reference counts, whatever it holds.
  tool headlines clean.part/checked/{train,valid} ${TEST:+clean.part/checked/test} \
    --output clean.part/{train,valid} ${TEST:+clean.part/test} --drop-unknown clean.part/checked/{train,valid} \
    --source-lang "$SOURCE_LANG" --target-lang "$TARGET_LANG" "${lowercase[@]}" >>clean.part/report.txt
  if [ -n "$TEST" ]; then
    cp "clean.part/test.$TARGET_LANG" "references.part/test.$TARGET_LANG.0"
  fi
  rm -r clean.part/checked
  write_settings
  mv references.part references
  mv clean.part clean
fi

# ---- tokenise the source ----

TEXT=clean
if [ "$TARGET_UNITS" = characters ] && [ "$FORM" != namas ]; then
  TEXT=tokenized
  if [ ! -d tokenized ]; then
    say "tokenising with sacremoses"
    rm -rf tokenized.part
    mkdir tokenized.part
    for split in $SPLITS; do
      "$python" -m sacremoses -q -l en -j "$WORKERS" tokenize <"clean/$split.$SOURCE_LANG" >"tokenized.part/$split.$SOURCE_LANG"
    done
    same_lines tokenized.part "$SOURCE_LANG"
    mv tokenized.part tokenized
  fi
fi

# ---- subwords ----

if [ "$TARGET_UNITS" = characters ] && [ ! -f codes ]; then
  say "learning $MERGES BPE merges of the source with subword-nmt"
  logged codes "$python" -m subword_nmt.learn_bpe -s "$MERGES" --num-workers "$WORKERS" \
    -i "$TEXT/train.$SOURCE_LANG" -o codes.part
  mv codes.part codes
fi

[ "$TARGET_UNITS" != sentencepiece ] || [ -f sentencepiece.model ] || learn_pieces

if [ ! -d units ]; then
  say "splitting into units"
  rm -rf units.part
  mkdir units.part
  for split in $SPLITS; do
    if [ "$TARGET_UNITS" = characters ]; then
      # The word <unk> of NAMAS stays whole: fairseq takes it for its own unknown word.
      "$python" -m subword_nmt.apply_bpe -c codes --glossaries '<unk>' --num-workers "$WORKERS" \
        -i "$TEXT/$split.$SOURCE_LANG" -o "units.part/$split.$SOURCE_LANG"
    else
      split_into_pieces "clean/$split.$SOURCE_LANG" "units.part/$split.$SOURCE_LANG"
      split_into_pieces "clean/$split.$TARGET_LANG" "units.part/$split.$TARGET_LANG"
    fi
  done
  if [ "$TARGET_UNITS" = characters ]; then
    tool characters clean/{train,valid,test}."$TARGET_LANG" --output units.part/{train,valid,test}."$TARGET_LANG"
  fi
  same_lines units.part "$SOURCE_LANG" "$TARGET_LANG"
  mv units.part units
fi

# ---- binarise ----

binarise units
report units "$TARGET_UNITS"
