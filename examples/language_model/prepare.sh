#!/usr/bin/env bash
# Data for the language models: check, clean, count, binarise for fairseq. The text stays as it is split into words.
#
#   prepare.sh WORK_DIR CORPUS_DIR
#
# CORPUS_DIR holds train.txt, valid.txt and test.txt: UTF-8, one sentence a line, words separated by spaces. Words of
# valid and test that train does not have become <unk>; so does the word "<unk>" itself.
#
# Variable: PYTHON=python, the Python that has the package installed; nothing needs to be activated.
#
# Result in WORK_DIR:
#   clean/       the checked text; clean/counts has the number of sentences and words of each file
#   data-bin/    for fairseq-train; its dictionary has each word of train once
#   prepare.settings   checksums of the input; other input needs another WORK_DIR
#
# A step is skipped when its outcome is there, so the script can be run again after any interruption.
#
# Expect: 10 s for the Penn Treebank (929,589 words and ends of sentences) on one core.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/../common/script.sh"

[[ $# -eq 2 ]] || refuse "usage: prepare.sh WORK_DIR CORPUS_DIR"
work=$1 corpus=$2
# The same bytes on every machine, whatever its language.
export PYTHONUTF8=1 LC_ALL=C
find_package
for split in train valid test; do
  [[ -f $corpus/$split.txt ]] || refuse "$corpus/$split.txt: there is no such file"
done
corpus=$(cd "$corpus" && pwd)
mkdir -p "$work"
work=$(cd "$work" && pwd)
cd "$work"

# Two runs at once in one folder would write over each other. The lock ends with this process and its children.
exec 9>"$work/.prepare.lock"
flock --nonblock 9 || refuse "another prepare.sh is running in $work"

# Checksum and size, so that changed data is noticed and a moved folder does not matter.
settings=$(for split in train valid test; do echo "$split=$(cksum <"$corpus/$split.txt")"; done)
if [[ -e clean || -e data-bin ]] && [[ $settings != "$(cat prepare.settings 2>/dev/null)" ]]; then
  refuse "$work was made from other data; use a new WORK_DIR, or delete it"
fi

if [[ ! -d clean ]]; then
  echo "prepare.sh: checking $corpus"
  rm -rf clean.part && mkdir clean.part
  "$python" - "$corpus" clean.part <<'PYTHON'
import sys

from fairseq_alone.errors import UserError
from fairseq_alone.text_files import clean_lines

corpus, clean = sys.argv[1:]
try:
    with open(f"{clean}/counts", "w") as counts:
        for split in ("train", "valid", "test"):
            sentences = words = dropped = 0
            with open(f"{clean}/{split}.txt", "w", newline="\n") as output:
                for line in clean_lines(f"{corpus}/{split}.txt", quiet=False):
                    if line:
                        sentences += 1
                        words += len(line.split())
                        print(line, file=output)
                    else:
                        dropped += 1
            if not sentences:
                raise UserError(f"{corpus}/{split}.txt: every line is empty")
            if dropped:
                print(f"prepare.sh: {split}: {dropped} empty lines dropped")
            print(f"{split}: {sentences} sentences, {words} words", file=counts)
except UserError as error:
    sys.exit(f"prepare.sh: error: {error}")
PYTHON
  # Only now: after bad data has been refused, the mended data must not count as changed.
  echo "$settings" >prepare.settings.part && mv prepare.settings.part prepare.settings
  mv clean.part clean
fi

if [[ ! -d data-bin ]]; then
  echo "prepare.sh: binarising with fairseq"
  rm -rf data-bin.part
  # --padding-factor 1: no made-up words in the dictionary, which would take a share of the probability.
  "$python" -m fairseq_cli.preprocess --only-source --trainpref clean/train.txt --validpref clean/valid.txt \
    --testpref clean/test.txt --destdir data-bin.part --padding-factor 1 --workers 1 >prepare.data-bin.log 2>&1 || {
    tail -n 5 prepare.data-bin.log >&2
    refuse "fairseq-preprocess failed; all its messages are in $work/prepare.data-bin.log"
  }
  mv data-bin.part data-bin
fi

cat clean/counts
# fairseq adds <s>, <pad>, </s> and <unk>.
echo "prepare.sh: vocabulary: $(($(wc -l <data-bin/dict.txt) + 4)) entries"
echo "prepare.sh: ready: $work/data-bin"
