from __future__ import annotations

import errno
import os
import resource
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from htcl.errors import InvalidValueError, MissingFileError
from htcl.files import atomic_write, existing, plain_name, read_bytes, read_text, remove_parts


@contextmanager
def files_of_at_most(size: int):
    """The operating system refuses larger files, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


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


NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "write",
    [
        lambda file: file.write(NOISE.tobytes()),
        lambda file: torch.save({"weights": torch.from_numpy(NOISE)}, file),
        lambda file: np.savez_compressed(file, voxels=NOISE),
        lambda file: Image.fromarray(NOISE).save(file, format="PNG"),
    ],
    ids=["bytes", "torch", "numpy", "picture"],
)
def test_no_space(tmp_path: Path, write):
    """12 kB where 4 kB fit: the error names the file, and the one before it stays."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with files_of_at_most(4096), pytest.raises(OSError) as caught, atomic_write(path) as file:
        write(file)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_errors_of_other_files_keep_their_name(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "file"):
        (tmp_path / "other").read_bytes()
    assert caught.value.filename == str(tmp_path / "other")


def test_parts_of_killed_processes(tmp_path: Path):
    """The name that a killed write leaves; the same of another kind of file stays."""
    names = []
    for name in ("iter_2.pth", "picture.png"):
        with atomic_write(tmp_path / name) as file:
            names.append(Path(file.name).name)
    for name in names:
        (tmp_path / name).touch()
    remove_parts(tmp_path, ".pth")
    assert {path.name for path in tmp_path.iterdir()} == {"iter_2.pth", "picture.png", names[1]}
