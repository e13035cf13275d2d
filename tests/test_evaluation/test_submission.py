from __future__ import annotations

import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from htcl.datasets.layout import KittiLayout
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.voxel_files import write_voxel_labels
from htcl.errors import InvalidValueError, MissingFileError
from htcl.evaluation.submission import (
    check_submission,
    expected_frames,
    label_path,
    unfinished,
    write_submission,
)
from htcl.geometry import VoxelGrid

GRID = (4, 4, 2)
SMALL = replace(SEMANTICKITTI, stored_grid=VoxelGrid((0, 0, 0), 0.2, GRID))
RAW_IDS = np.array(SMALL.raw_ids, dtype=np.uint16)
SEQUENCES = SEMANTICKITTI.splits["test"]
FRAMES = {"11": ["000000", "000005"], "12": ["000000"]}


@pytest.fixture
def folder(tmp_path):
    """Complete predictions with all 20 ids."""
    for sequence, names in FRAMES.items():
        for frame in names:
            labels = np.resize(RAW_IDS, GRID)
            write_voxel_labels(label_path(tmp_path / "work", sequence, frame), labels)
    return tmp_path / "work"


@pytest.fixture
def archive(folder, tmp_path):
    return write_submission(folder, tmp_path / "ours.zip", FRAMES, SMALL, "HTCL")


def check(path, frames=FRAMES, **options):
    return check_submission(path, SMALL, frames, **options)


def rewrite(archive, change):
    """Writes the archive anew; ``change`` takes and gives a list of (name, content)."""
    with zipfile.ZipFile(archive) as file:
        entries = [(name, file.read(name)) for name in file.namelist()]
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in change(entries):
            file.writestr(name, content)
    return archive


def test_entries_are_what_the_server_wants(archive):
    with zipfile.ZipFile(archive) as file:
        assert sorted(file.namelist()) == [
            "description.txt",
            "sequences/",
            "sequences/11/",
            "sequences/11/predictions/",
            "sequences/11/predictions/000000.label",
            "sequences/11/predictions/000005.label",
            "sequences/12/",
            "sequences/12/predictions/",
            "sequences/12/predictions/000000.label",
        ]
        for info in file.infolist():
            if info.filename.endswith(".label"):
                assert info.file_size == 2 * 4 * 4 * 2
        raw = np.frombuffer(file.read("sequences/12/predictions/000000.label"), "<u2")
        np.testing.assert_array_equal(raw, np.resize(RAW_IDS, GRID).ravel())
        assert file.read("description.txt") == b"HTCL"
    assert check(archive) == []
    assert check(archive, None, sequences=["11", "12"]) == []


def test_equal_predictions_make_equal_archives(folder, archive, tmp_path):
    again = write_submission(folder, tmp_path / "again.zip", FRAMES, SMALL, "HTCL")
    assert again.read_bytes() == archive.read_bytes()


def test_no_incomplete_archive(folder, tmp_path):
    label_path(folder, "11", "000005").unlink()
    label_path(folder, "12", "000000").write_bytes(b"cut short")
    assert unfinished(folder, FRAMES, SMALL) == [("11", "000005"), ("12", "000000")]
    with pytest.raises(MissingFileError, match=r"2 of 3 predictions are missing") as error:
        write_submission(folder, tmp_path / "x.zip", FRAMES, SMALL)
    assert "sequences/11/predictions/000005.label" in str(error.value)
    assert not list(tmp_path.glob("*x.zip*"))
    with pytest.raises(InvalidValueError, match=r"must end in \.zip"):
        write_submission(folder, tmp_path / "x.tar", FRAMES, SMALL)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda e: [x for x in e if x[0] != "sequences/12/"], "missing folder entry sequences/12/"),
        (lambda e: [x for x in e if not x[0].endswith("5.label")], "missing sequences/11/predict"),
        (lambda e: [*e, ("sequences/11/notes.txt", b"")], "notes.txt does not belong"),
        (lambda e: [*e, ("sequences/11/predictions/000007.label", b"\0" * 64)], "does not belong"),
        (lambda e: [(n, c[:-2] if n.endswith("0.label") else c) for n, c in e], "has 62 bytes"),
        (
            lambda e: [(n, b"\x34\0" * 32 if n.endswith("label") else c) for n, c in e],
            r"ids \[52\]",
        ),
        (lambda e: [(n, b"\xff\xff" * 32 if n.endswith("label") else c) for n, c in e], "65535"),
    ],
)
def test_what_the_server_would_refuse(archive, change, problem):
    problems = check(rewrite(archive, change))
    assert problems
    assert any(re.search(problem, line) for line in problems), problems


def test_without_the_data_numbers_of_frames_are_free(archive):
    extra = ("sequences/11/predictions/000007.label", b"\0" * 64)
    rewrite(archive, lambda entries: [*entries, extra])
    assert check(archive, None, sequences=["11", "12"]) == []
    assert "missing folder entry sequences/13/" in check(archive, None)
    rewrite(archive, lambda e: [x for x in e if not x[0].startswith("sequences/12/predictions/0")])
    assert check(archive, None, sequences=["11", "12"]) == [
        "sequences/12/predictions/ holds no prediction"
    ]


def test_twice_broken_and_misnamed(archive, tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        rewrite(archive, lambda entries: [*entries, entries[-1]])
    assert any("is there twice" in line for line in check(archive))
    other = archive.rename(tmp_path / "ours.rar")
    assert "ours.rar: the name must end in .zip" in check(other)
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"no zip")
    assert "not a readable zip archive" in check(broken)[0]
    with pytest.raises(MissingFileError, match="submission file not found"):
        check(tmp_path / "none.zip")


def test_expected_frames(kitti_tree, writable_kitti_tree):
    assert SEQUENCES == ("11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21")
    frames = expected_frames(KittiLayout(kitti_tree), ["00", "08"])
    assert frames == {name: ["000000", "000005", "000010"] for name in ("00", "08")}
    with pytest.raises(MissingFileError, match="sequence 11"):
        expected_frames(KittiLayout(kitti_tree), SEQUENCES)
    for path in (writable_kitti_tree / "sequences/08/voxels").glob("*.bin"):
        path.unlink()
    with pytest.raises(MissingFileError, match=r"no voxels/\*.bin in sequences 08"):
        expected_frames(KittiLayout(writable_kitti_tree), ["00", "08"])


def test_archives_that_make_zipfile_stumble(archive, tmp_path):
    """An unknown compression, a version to come, bits in the deflated data: lines, no traceback."""
    content = archive.read_bytes()
    central = content.index(b"PK\x01\x02", content.index(b".label"))
    central = content.index(b".label", central) - 46 - len("sequences/11/predictions/000000")
    assert content[central : central + 4] == b"PK\x01\x02"
    for offset, value in ((10, 99), (6, 99)):
        broken = bytearray(content)
        broken[central + offset] = value
        archive.write_bytes(broken)
        assert any("not a readable zip archive" in line for line in check(archive))
    for name in ("../11", "a/b"):
        with pytest.raises(InvalidValueError, match="cannot be the name"):
            label_path(tmp_path, name, "000000")
