from __future__ import annotations

import os
from pathlib import Path

import pytest

from htcl.files import atomic_write


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
