from __future__ import annotations

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image

from htcl.apis.frame_source import FrameSource, check_pair, frame_numbers, frame_step
from htcl.errors import InvalidValueError, MissingFileError


def write_images(folder, names, size=(8, 16)):
    folder.mkdir(parents=True, exist_ok=True)
    for value, name in enumerate(names):
        Image.new("RGB", size[::-1], (value, 0, 0)).save(folder / name)
    return folder


def test_folder_in_natural_order(tmp_path):
    folder = write_images(tmp_path / "left", ["f10.png", "f2.png", "f1.jpg"])
    (folder / "notes.txt").write_text("no image")
    source = FrameSource(folder)
    assert source.names == ["f1", "f2", "f10"]
    assert [frame.image.shape for frame in source] == [(8, 16, 3)] * 3
    assert source.title == tmp_path.name


def test_single_image_and_list(tmp_path):
    folder = write_images(tmp_path / "drive", ["b.png", "a.png"])
    assert [frame.name for frame in FrameSource(folder / "b.png")] == ["b"]
    listed = FrameSource([folder / "b.png", folder / "a.png"])
    assert listed.names == ["b", "a"] and listed.title == "drive"


def test_grey_images_become_rgb(tmp_path):
    Image.new("L", (4, 2), 7).save(tmp_path / "a.png")
    image = next(iter(FrameSource(tmp_path / "a.png"))).image
    assert image.shape == (2, 4, 3) and (image == 7).all()


def test_video(tmp_path):
    path = tmp_path / "drive.mp4"
    frames = [np.full((32, 48, 3), 40 * i, np.uint8) for i in range(5)]
    imageio.mimwrite(path, frames, fps=5, macro_block_size=2)
    source = FrameSource(path)
    read = list(source)
    assert source.names is None and source.title == "drive"
    assert [frame.name for frame in read] == [f"{i:06d}" for i in range(5)]
    for i, frame in enumerate(read):
        assert frame.image.shape == (32, 48, 3)
        assert abs(frame.image.mean() - 40 * i) < 4


def test_errors(tmp_path):
    folder = write_images(tmp_path / "x", ["a.png", "a.jpg"])
    with pytest.raises(InvalidValueError, match="two frames are called 'a'"):
        FrameSource(folder)
    with pytest.raises(MissingFileError, match="no such image, folder or video"):
        FrameSource(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError, match="no image in this folder"):
        FrameSource(tmp_path / "empty")
    (tmp_path / "text.txt").write_text("x")
    with pytest.raises(InvalidValueError, match="neither an image"):
        FrameSource(tmp_path / "text.txt")
    (tmp_path / "bad.png").write_text("x")
    with pytest.raises(InvalidValueError, match="cannot be decoded"):
        list(FrameSource(tmp_path / "bad.png"))
    (tmp_path / "bad.mp4").write_text("x")
    with pytest.raises(InvalidValueError, match="cannot be decoded"):
        list(FrameSource(tmp_path / "bad.mp4"))


def test_pairs(tmp_path):
    left = FrameSource(write_images(tmp_path / "l", ["000000.png", "000001.png"]))
    same = FrameSource(write_images(tmp_path / "r", ["000000.png", "000001.png"]))
    check_pair(left, same)
    short = FrameSource(write_images(tmp_path / "s", ["000001.png"]))
    with pytest.raises(InvalidValueError, match=r"2 left images but 1 right ones.*left 000000"):
        check_pair(left, short)
    late = FrameSource(write_images(tmp_path / "t", ["000001.png", "000002.png"]))
    with pytest.raises(InvalidValueError, match=r"different numbers.*left 000000, right 000002"):
        check_pair(left, late)


def test_numbers_and_gaps():
    assert frame_numbers(["l_007", "l_008"]) == [7, 8]
    assert frame_numbers(["l_007", "r_008"]) is None
    assert frame_numbers(["a", "b"]) is None
    assert frame_step(["a", "b"]) is None and frame_step(["000003"]) is None
    assert frame_step(["000000", "000005", "000010"]) == 5
    with pytest.raises(
        InvalidValueError, match="after frame 000001 comes 000003, expected number 2"
    ):
        frame_step(["000000", "000001", "000003"])
    with pytest.raises(InvalidValueError, match="gap"):
        frame_step(["000002", "000001", "000003"])
