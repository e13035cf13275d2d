from __future__ import annotations

import os
from pathlib import Path

import pytest

from htcl.errors import InvalidValueError, MissingFileError
from htcl.files import atomic_write, existing, plain_name, read_bytes, read_text


def test_atomic_write_keeps_the_old_file_on_error(tmp_path: Path):
    path = tmp_path / "folder" / "file"
    with atomic_write(path) as file:
        file.write(b"old")
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_files_have_the_usual_rights(tmp_path: Path):
    mask = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "text", "w") as file:
            file.write("ä")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(mask)
    assert (tmp_path / "text").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "text").read_bytes() == "ä".encode()


@pytest.mark.parametrize("name", ["08", "drive 2", "it's", '"a"', "-x", "<!--<script>", "ä", "a.b"])
def test_plain_names(name: str):
    assert plain_name(name, "sequence") == name


@pytest.mark.parametrize(
    "name", ["", " ", ".", "..", "a/b", "/etc", "..\\x", "a\0b", "a\nb", "x" * 121, "\x1b[2J"]
)
def test_names_that_lead_elsewhere(name: str):
    with pytest.raises(InvalidValueError, match=r"--name .* cannot be the name of a folder"):
        plain_name(name, "--name")


def test_what_is_no_file(tmp_path: Path):
    for make, error, message in (
        (lambda path: None, MissingFileError, "scan file not found$"),
        (lambda path: path.mkdir(), InvalidValueError, "a folder, expected the scan file"),
        (lambda path: path.symlink_to("gone"), MissingFileError, "the link leads to gone"),
        (lambda path: path.symlink_to(path), InvalidValueError, "cannot be read: Too many levels"),
        # Reading a pipe that nobody writes to would wait for ever.
        (os.mkfifo, InvalidValueError, "no plain file"),
    ):
        path = tmp_path / f"f{len(list(tmp_path.iterdir()))}_{message[:3].strip()}"
        make(path)
        with pytest.raises(error, match=message) as raised:
            existing(path, "scan")
        assert str(path) in str(raised.value)
    with pytest.raises(InvalidValueError, match="cannot be read"):
        read_bytes("a\0b", "scan")


def test_text_of_any_editor(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb\r\n")
    assert read_text(path, "pose").splitlines() == ["a", "b"]
    path.write_text("a", encoding="utf-16")
    with pytest.raises(InvalidValueError, match=r"a\.txt: pose file is no text in UTF-8"):
        read_text(path, "pose")


def test_a_file_as_large_as_a_disk_is_not_read(tmp_path: Path):
    path = tmp_path / "sparse.bin"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InvalidValueError, match=r"sparse\.bin: scan file has 1099511627776 bytes"):
        read_bytes(path, "scan")
