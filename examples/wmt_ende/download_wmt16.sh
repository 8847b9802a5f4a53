#!/usr/bin/env bash
# Download the English-German data of WMT16 and write train, valid and test in .en and .de.
#
#   download_wmt16.sh DOWNLOAD_DIR OUT_DIR
#
# train: Europarl v7, Common Crawl, News Commentary v11 (about 4.56 million pairs)
# valid: newstest2013 (3,000 pairs); test: newstest2014, the full set (3,003 pairs). SacreBLEU fetches these two and
#        checks their MD5 sums; it keeps them in the folder of its variable SACREBLEU (default ~/.sacrebleu).
#
# Variables: PYTHON=python (has sacrebleu); WMT16_MIRROR: the address of a folder with the three archives of train under
# their names below, for example file:///data/wmt16 (default: statmt.org).
#
# Size: 1.6 GB of archives, 1.5 GB of text. Time: that of the download. A broken download continues where it stopped.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/../common/script.sh"

[ $# -eq 2 ] || refuse "usage: download_wmt16.sh DOWNLOAD_DIR OUT_DIR"
DOWNLOAD_DIR=$1
OUT_DIR=$2
PYTHON=${PYTHON:-python}
WMT16_MIRROR=${WMT16_MIRROR:-}

# Address of each archive, and the corpus inside it (the name without its suffix .en or .de).
ARCHIVES="
https://www.statmt.org/europarl/v7/de-en.tgz europarl-v7.de-en
https://www.statmt.org/wmt13/training-parallel-commoncrawl.tgz commoncrawl.de-en
https://data.statmt.org/wmt16/translation-task/training-parallel-nc-v11.tgz news-commentary-v11.de-en
"

# download URL FILE: FILE is there afterwards, and is a whole archive.
download() {
  local url=$1 file=$2 status=0
  [ ! -f "$file" ] || return 0
  echo "download_wmt16.sh: $url"
  curl --fail --location --retry 3 --continue-at - --output "$file.part" "$url" || status=$?
  if [ ! -s "$file.part" ]; then
    refuse "$url: cannot be downloaded (curl status $status); check the network, or give the corpus as CORPUS_DIR"
  fi
  # A part that was already complete makes curl fail too, so the archive itself decides.
  if ! gzip --test "$file.part" 2>/dev/null; then
    [ $status -eq 0 ] || refuse "$url: the download broke off (curl status $status); run again to continue it"
    rm "$file.part"
    refuse "$url: not a whole archive; it has been deleted, run again to download it anew"
  fi
  mv "$file.part" "$file"
}

# extract ARCHIVE NAME: print the file called NAME, in whatever folder of the archive it is.
extract() {
  local member
  member=$(tar --list --gzip --file "$1" | awk -F / -v name="$2" '$NF == name && !found { print; found = 1 }')
  [ -n "$member" ] || refuse "$1: there is no $2 in the archive"
  tar --extract --gzip --to-stdout --file "$1" "$member"
}

command -v curl >/dev/null || refuse "curl is not installed"
mkdir -p "$DOWNLOAD_DIR" "$OUT_DIR"

while read -r url corpus; do
  [ -n "$url" ] || continue
  [ -z "$WMT16_MIRROR" ] || url=$WMT16_MIRROR/${url##*/}
  download "$url" "$DOWNLOAD_DIR/${url##*/}"
done <<<"$ARCHIVES"

for lang in en de; do
  while read -r url corpus; do
    [ -n "$url" ] || continue
    extract "$DOWNLOAD_DIR/${url##*/}" "$corpus.$lang"
  done <<<"$ARCHIVES" >"$OUT_DIR/train.$lang.part"
  mv "$OUT_DIR/train.$lang.part" "$OUT_DIR/train.$lang"
done

# test_set SPLIT NAME PAIRS
test_set() {
  local split=$1 name=$2 pairs=$3 side
  for side in src:en ref:de; do
    "$PYTHON" -m sacrebleu --test-set "$name" --language-pair en-de --echo "${side%:*}" >"$OUT_DIR/$split.${side#*:}.part" ||
      refuse "SacreBLEU cannot fetch the test set $name; check the network, or give the corpus as CORPUS_DIR"
    [ "$(wc -l <"$OUT_DIR/$split.${side#*:}.part")" -eq "$pairs" ] ||
      refuse "$OUT_DIR/$split.${side#*:}.part: the test set $name should have $pairs lines"
    mv "$OUT_DIR/$split.${side#*:}.part" "$OUT_DIR/$split.${side#*:}"
  done
}

test_set valid wmt13 3000
test_set test wmt14/full 3003
