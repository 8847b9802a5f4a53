"""The checksum of POSIX's cksum."""

import pytest

from fairseq_alone.recipes.checksum import cksum


@pytest.mark.parametrize(
    ("data", "printed"),
    [
        # By cksum of GNU coreutils 9.1.
        (b"", "4294967295 0"),
        (b"123456789", "930766865 9"),
        (b"x" * 300, "3786917833 300"),
    ],
)
def test_it_is_what_cksum_prints(tmp_path, data, printed):
    file = tmp_path / "file"
    file.write_bytes(data)
    assert cksum(file) == printed


def test_several_files_count_as_one(tmp_path):
    for name, data in (("a", b"1234"), ("b", b""), ("c", b"56789")):
        (tmp_path / name).write_bytes(data)
    assert cksum([tmp_path / name for name in "abc"]) == "930766865 9"
