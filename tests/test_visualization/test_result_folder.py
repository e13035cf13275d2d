from __future__ import annotations

import pytest

from htcl.errors import MissingFileError
from htcl.visualization.result_folder import (
    latest_folder,
    list_results,
    mark_latest,
    result_path,
    telling_names,
)


@pytest.fixture
def folder(tmp_path):
    for sequence, frame in (("08", "000010"), ("08", "000005"), ("09", "000000")):
        path = result_path(tmp_path / "results", sequence, frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "results"


def test_files_are_sorted_and_chosen(folder):
    names = [f"{p.parent.name}/{p.stem}" for p in list_results(folder)]
    assert names == ["08/000005", "08/000010", "09/000000"]
    assert len(list_results(folder, "08")) == 2
    assert list_results(folder, "09/000000")[0].stem == "000000"
    with pytest.raises(MissingFileError, match="no frame '7'; it holds 3 frames, 08/000005 to"):
        list_results(folder, "7")


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(MissingFileError, match="does not exist"):
        list_results(tmp_path / "none")
    with pytest.raises(MissingFileError, match="holds no result file"):
        list_results(tmp_path)


def test_latest(folder, tmp_path):
    pointer = tmp_path / "a" / "latest.txt"
    with pytest.raises(MissingFileError, match=r"latest\.txt does not exist.*save_vis"):
        latest_folder(pointer)
    mark_latest(folder, pointer)
    assert latest_folder(pointer) == folder
    mark_latest(tmp_path / "gone", pointer)
    with pytest.raises(MissingFileError, match="gone, which does not exist"):
        latest_folder(pointer)


def test_names_tell_what_differs():
    assert telling_names(["a/plus/08/000005.npz", "a/points/08/000005.npz"]) == ["plus", "points"]
    assert telling_names(["plus.npz", "points.npz"]) == ["plus", "points"]
    # Not shared at one place, though it is the same word.
    assert telling_names(["/a/x/1/f.npz", "/a/y/2/f.npz", "/a/y/1/f.npz"]) == ["x/1", "y/2", "y/1"]
    # Nothing tells a file from itself, but a column needs a title.
    assert telling_names(["/a/f.npz", "/a/f.npz"])[0].endswith("f")
