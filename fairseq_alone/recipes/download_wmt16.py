"""The English-German data of WMT16, downloaded: 1.6 GB of archives, 1.5 GB of text.

train: Europarl v7, Common Crawl, News Commentary v11 (about 4.56 million pairs). valid: newstest2013 (3,000 pairs);
test: newstest2014, the full set (3,003 pairs). SacreBLEU fetches these two and checks their MD5 sums; it keeps them in
the folder of its variable SACREBLEU (~/.sacrebleu).
"""

import gzip
import shutil
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path
from typing import BinaryIO

from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success
from fairseq_alone.recipes.steps import count_lines, say

# Address of each archive, and the corpus inside it (the name without its suffix .en or .de).
ARCHIVES = (
    ("https://www.statmt.org/europarl/v7/de-en.tgz", "europarl-v7.de-en"),
    ("https://www.statmt.org/wmt13/training-parallel-commoncrawl.tgz", "commoncrawl.de-en"),
    (
        "https://data.statmt.org/wmt16/translation-task/training-parallel-nc-v11.tgz",
        "news-commentary-v11.de-en",
    ),
)
# Name in SacreBLEU, and pairs.
TEST_SETS = {"valid": ("wmt13", 3000), "test": ("wmt14/full", 3003)}

_OTHERWISE = "check the network, or give the corpus as CORPUS"


def download_wmt16(downloads: Path, folder: Path, mirror: str | None = None) -> None:
    """Write train, valid and test in .en and .de; a broken download continues where it stopped.

    Args:
        downloads: where the archives are kept.
        folder: for the text.
        mirror: the address of a folder with the archives under their names, for example ``file:///data/wmt16``.

    Raises:
        UserError: something cannot be fetched, or is not what it should be.
    """
    for path in (downloads, folder):
        path.mkdir(parents=True, exist_ok=True)
    archives = []
    for url, corpus in ARCHIVES:
        name = url.rsplit("/", 1)[1]
        _download(f"{mirror}/{name}" if mirror else url, downloads / name)
        archives.append((downloads / name, corpus))
    for lang in ("en", "de"):
        with replaced_on_success(str(folder / f"train.{lang}")) as part, open(part, "wb") as output:
            for archive, corpus in archives:
                _extract(archive, f"{corpus}.{lang}", output)
    for split, (name, pairs) in TEST_SETS.items():
        for side, lang in (("src", "en"), ("ref", "de")):
            with replaced_on_success(str(folder / f"{split}.{lang}")) as part:
                _test_set(name, side, pairs, Path(part))


def _download(url: str, file: Path) -> None:
    """The file is there afterwards, and is a whole archive."""
    if file.is_file():
        return
    say(f"downloading {url}")
    part = file.with_name(f"{file.name}.part")
    command = ["curl", "--fail", "--location", "--retry", "3", "--continue-at", "-", "--output", str(part), url]
    try:
        status = subprocess.run(command, check=False).returncode
    except FileNotFoundError:
        raise UserError("curl is not installed") from None
    if not part.exists() or not part.stat().st_size:
        part.unlink(missing_ok=True)
        raise UserError(f"{url}: cannot be downloaded (curl status {status}); {_OTHERWISE}")
    # A part that was already complete makes curl fail too, so the archive itself decides.
    if not _is_whole(part):
        if status:
            raise UserError(f"{url}: the download broke off (curl status {status}); run again to continue it")
        part.unlink()
        raise UserError(f"{url}: not a whole archive; it has been deleted, run again to download it anew")
    part.rename(file)


def _is_whole(archive: Path) -> bool:
    try:
        with gzip.open(archive) as file:
            while file.read(1 << 20):
                pass
    except (EOFError, OSError, zlib.error):
        return False
    return True


def _extract(archive: Path, name: str, output: BinaryIO) -> None:
    """Copy the file called ``name``, in whatever folder of the archive it is."""
    with tarfile.open(archive, "r|gz") as members:
        for member in members:
            content = members.extractfile(member) if member.name.rsplit("/", 1)[-1] == name else None
            if content is not None:
                shutil.copyfileobj(content, output)
                return
    raise UserError(f"{archive}: there is no {name} in the archive")


def _test_set(name: str, side: str, pairs: int, file: Path) -> None:
    command = [sys.executable, "-m", "sacrebleu", "--test-set", name, "--language-pair", "en-de", "--echo", side]
    with open(file, "wb") as output:
        status = subprocess.run(command, stdout=output, check=False).returncode
    if status:
        raise UserError(f"SacreBLEU cannot fetch the test set {name}; {_OTHERWISE}")
    if count_lines(file) != pairs:
        raise UserError(f"the test set {name} of SacreBLEU should have {pairs} lines, but has {count_lines(file)}")
