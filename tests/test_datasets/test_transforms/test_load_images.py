from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htcl.datasets.transforms import LoadStereoImages


def write(path: Path, picture: np.ndarray) -> str:
    Image.fromarray(picture).save(path)
    return str(path)


def clip(tmp_path: Path, height: int, width: int) -> dict:
    rng = np.random.default_rng(0)
    paths = [
        write(tmp_path / f"{name}.png", rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for name in ("0", "1", "2", "right")
    ]
    return {
        "left_path": paths[2],
        "right_path": paths[3],
        "frame_paths": [paths[0], paths[0], paths[1], paths[2]],
    }


def picture(path: str) -> Image.Image:
    return Image.open(path).convert("RGB")


def test_released_settings_of_a_kitti_image(tmp_path: Path):
    results = clip(tmp_path, 376, 1241)
    results = LoadStereoImages().transform(results)
    # 1241 * (1280 / 1241) is just below 1280, so the resized image is 1279 x 387 (387.8 cut).
    resized = np.asarray(picture(results["left_path"]).resize((1279, 387), Image.BICUBIC))
    np.testing.assert_array_equal(results["left"][:, :1279], resized[3:])
    assert not results["left"][:, 1279].any()
    scale = 1280 / 1241
    expected = [[scale, 0, 0], [0, scale, -3], [0, 0, 1]]
    np.testing.assert_allclose(results["pixel_transform"], expected, rtol=1e-6)
    whole = np.asarray(picture(results["frame_paths"][2]).resize((1280, 384), Image.LANCZOS))
    np.testing.assert_array_equal(results["frames"][2], whole)
    np.testing.assert_array_equal(results["frames"][0], results["frames"][1])
    expected = [[scale, 0, 0], [0, 384 / 376, 0], [0, 0, 1]]
    np.testing.assert_allclose(results["frames_pixel_transform"], expected, rtol=1e-6)
    assert results["image_size"] == (376, 1241)
    assert results["frames"].shape == (4, 384, 1280, 3) and results["frames"].dtype == np.uint8


def test_right_settings_give_temporal_frames_the_network_pixels(tmp_path: Path):
    step = LoadStereoImages(
        (384, 1280), temporal_frames="network", pixel_convention="centre", size_rounding="round"
    )
    results = step.transform(clip(tmp_path, 376, 1241))
    np.testing.assert_array_equal(results["frames"][-1], results["left"])
    np.testing.assert_array_equal(results["frames_pixel_transform"], results["pixel_transform"])
    resized = np.asarray(picture(results["left_path"]).resize((1280, 388), Image.BICUBIC))
    np.testing.assert_array_equal(results["left"], resized[4:])
    matrix = results["pixel_transform"]
    # Image corners, half a pixel outside the outermost centres, go to corners.
    corner = matrix @ (-0.5, -0.5, 1)
    np.testing.assert_allclose(corner, (-0.5, -4.5, 1), atol=1e-5)
    corner = matrix @ (1240.5, 375.5, 1)
    np.testing.assert_allclose(corner, (1279.5, 383.5, 1), atol=1e-3)


def test_centre_convention_finds_the_pixel_that_was_drawn(tmp_path: Path):
    image = np.zeros((40, 100, 3), dtype=np.uint8)
    image[29:32, 69:72] = 255
    path = write(tmp_path / "a.png", image)
    step = LoadStereoImages(
        (64, 200),
        right=False,
        frames=False,
        pixel_convention="centre",
        size_rounding="round",
    )
    results = step.transform({"left_path": path})
    weight = results["left"][..., 0].astype(float)
    rows, columns = np.mgrid[:64, :200]
    found = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
    expected = results["pixel_transform"] @ (70, 30, 1)
    np.testing.assert_allclose(found, expected[:2], atol=0.02)
    assert "right" not in results and "frames" not in results


def test_low_image_is_padded_on_top(tmp_path: Path):
    results = LoadStereoImages((64, 100), resize="nearest").transform(clip(tmp_path, 40, 100))
    assert not results["left"][:24].any()
    original = np.asarray(picture(results["left_path"]))
    np.testing.assert_array_equal(results["left"][24:], original)
    assert results["pixel_transform"][1, 2] == 24


def test_errors_name_the_file(tmp_path: Path):
    results = clip(tmp_path, 20, 30)
    write(tmp_path / "right.png", np.zeros((20, 31, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"right\.png: image is 31 x 20, but .*30 x 20"):
        LoadStereoImages((16, 32)).transform(results)
    (tmp_path / "right.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"right\.png: image cannot be decoded"):
        LoadStereoImages((16, 32)).transform(results)
    (tmp_path / "1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1\.png"):
        LoadStereoImages((16, 32), right=False).transform(results)
    content = (tmp_path / "0.png").read_bytes()
    (tmp_path / "0.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"0\.png: image cannot be decoded"):
        LoadStereoImages((16, 32), right=False).transform(results)


@pytest.mark.parametrize(
    "key", ["resize", "temporal_resize", "temporal_frames", "pixel_convention", "size_rounding"]
)
def test_unknown_settings_are_refused(key: str):
    with pytest.raises(ValueError, match=f"{key}: unknown value 'x'"):
        LoadStereoImages(**{key: "x"})


def test_decoded_images_take_the_place_of_files(tmp_path: Path):
    files = clip(tmp_path, 38, 124)
    paths = {*files["frame_paths"], files["right_path"]}
    renamed = {path: f"video frame {number}" for number, path in enumerate(sorted(paths))}
    decoded = {
        "left_path": renamed[files["left_path"]],
        "right_path": renamed[files["right_path"]],
        "frame_paths": [renamed[path] for path in files["frame_paths"]],
        "images": {renamed[path]: np.asarray(picture(path)) for path in paths},
    }
    step = LoadStereoImages((32, 128))
    expected, found = step.transform(files), step.transform(decoded)
    for key in ("left", "right", "frames", "pixel_transform"):
        np.testing.assert_array_equal(found[key], expected[key])
