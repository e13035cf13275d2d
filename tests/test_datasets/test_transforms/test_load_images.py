from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htcl.datasets.image_files import read_image
from htcl.datasets.transforms import LoadImages
from htcl.errors import InvalidValueError, MissingFileError

INTRINSICS = np.array([[70.0, 0, 50, 4], [0, 70, 20, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def write(path: Path, picture: np.ndarray) -> str:
    Image.fromarray(picture).save(path)
    return str(path)


def clip(tmp_path: Path, height: int, width: int, cameras: int = 1) -> dict:
    rng = np.random.default_rng(0)
    infos = []
    for number in range(cameras):
        paths = [
            write(
                tmp_path / f"{number}_{name}.png",
                rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
            )
            for name in ("0", "1", "2", "right")
        ]
        infos.append(
            {
                "name": str(number),
                "image": paths[2],
                "right": paths[3],
                "history": [paths[0], paths[0], paths[1]],
                "history_right": [paths[3], paths[3], paths[0]],
                "intrinsics": INTRINSICS,
                "reference_from_camera": np.eye(4),
                "focal_baseline": 40.0 + number,
                "current_from_history": np.stack([np.eye(4)] * 3) * (number + 1),
            }
        )
    return {"sequence": "00", "frame": "000002", "cameras": infos}


def picture(path: str) -> Image.Image:
    return Image.open(path).convert("RGB")


def test_released_settings_of_a_kitti_image(tmp_path: Path):
    results = clip(tmp_path, 376, 1241)
    results = LoadImages(pixels="released", history_images="released").transform(results)
    # 1241 * (1280 / 1241) is just below 1280, so the resized image is 1279 x 387 (387.8 cut).
    current = picture(results["image_paths"][0])
    resized = np.asarray(current.resize((1279, 387), Image.BICUBIC))
    np.testing.assert_array_equal(results["images"][0, :, :1279], resized[3:])
    assert not results["images"][0, :, 1279].any()
    scale = 1280 / 1241
    expected = [[scale, 0, 0], [0, scale, -3], [0, 0, 1]]
    np.testing.assert_allclose(results["cameras"].image_transform[0], expected, rtol=1e-6)
    whole = np.asarray(picture(results["history_paths"][2][0]).resize((1280, 384), Image.LANCZOS))
    np.testing.assert_array_equal(results["history"][2, 0], whole)
    np.testing.assert_array_equal(results["history"][0], results["history"][1])
    whole = np.asarray(current.resize((1280, 384), Image.LANCZOS))
    np.testing.assert_array_equal(results["current"][0], whole)
    expected = [[scale, 0, 0], [0, 384 / 376, 0], [0, 0, 1]]
    np.testing.assert_allclose(results["history_cameras"].image_transform[0], expected, rtol=1e-6)
    assert results["history_cameras"].pixels == "released"
    assert results["image_sizes"] == [(376, 1241)]
    assert results["history"].shape == (3, 1, 384, 1280, 3)
    assert results["history"].dtype == np.uint8


def test_right_settings_give_history_the_network_pixels(tmp_path: Path):
    results = LoadImages((384, 1280)).transform(clip(tmp_path, 376, 1241))
    assert "current" not in results and "history_cameras" not in results
    resized = np.asarray(picture(results["image_paths"][0]).resize((1280, 388), Image.BICUBIC))
    np.testing.assert_array_equal(results["images"][0], resized[4:])
    earlier = np.asarray(picture(results["history_paths"][2][0]).resize((1280, 388), Image.BICUBIC))
    np.testing.assert_array_equal(results["history"][2, 0], earlier[4:])
    matrix = results["cameras"].image_transform[0].numpy()
    # Image corners, half a pixel outside the outermost centres, go to corners.
    corner = matrix @ (-0.5, -0.5, 1)
    np.testing.assert_allclose(corner, (-0.5, -4.5, 1), atol=1e-5)
    corner = matrix @ (1240.5, 375.5, 1)
    np.testing.assert_allclose(corner, (1279.5, 383.5, 1), atol=1e-3)


def test_centred_pixels_find_the_pixel_that_was_drawn(tmp_path: Path):
    image = np.zeros((40, 100, 3), dtype=np.uint8)
    image[29:32, 69:72] = 255
    results = clip(tmp_path, 40, 100) | {"inputs": {"images"}}
    results["cameras"][0]["image"] = write(tmp_path / "a.png", image)
    results = LoadImages((64, 200)).transform(results)
    weight = results["images"][0, ..., 0].astype(float)
    rows, columns = np.mgrid[:64, :200]
    found = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
    expected = results["cameras"].image_transform[0].numpy() @ (70, 30, 1)
    np.testing.assert_allclose(found, expected[:2], atol=0.02)
    assert not {"right", "focal_baseline", "history", "current_from_history"} & set(results)


def test_low_image_is_padded_on_top(tmp_path: Path):
    results = LoadImages((64, 100), resize="nearest").transform(clip(tmp_path, 40, 100))
    assert not results["images"][0, :24].any()
    original = np.asarray(picture(results["image_paths"][0]))
    np.testing.assert_array_equal(results["images"][0, 24:], original)
    assert results["cameras"].image_transform[0, 1, 2] == 24


def test_all_cameras_of_a_rig(tmp_path: Path):
    step = LoadImages((32, 64), history_images="released")
    both = step.transform(clip(tmp_path, 40, 100, cameras=2))
    assert both["images"].shape == both["right"].shape == both["current"].shape == (2, 32, 64, 3)
    assert both["history"].shape == (3, 2, 32, 64, 3)
    assert both["cameras"].shape == both["history_cameras"].shape == (2,)
    assert both["focal_baseline"].tolist() == [40, 41]
    assert both["current_from_history"].shape == (3, 2, 4, 4)
    assert both["current_from_history"][0, 1, 0, 0] == 2
    second = clip(tmp_path, 40, 100, cameras=2)
    second["cameras"] = second["cameras"][1:]
    alone = step.transform(second)
    for key in ("images", "right", "current"):
        np.testing.assert_array_equal(both[key][1], alone[key][0])
    np.testing.assert_array_equal(both["history"][:, 1], alone["history"][:, 0])
    assert [len(paths) for paths in both["history_paths"]] == [2, 2, 2]


@pytest.mark.parametrize("history_images", ["network", "released"])
def test_right_images_of_the_history_are_prepared_as_the_history(
    tmp_path: Path, history_images: str
):
    step = LoadImages((32, 64), history_images=history_images)
    results = clip(tmp_path, 40, 100, cameras=2)
    both = step.transform(dict(results))
    assert both["history_right"].shape == (3, 2, 32, 64, 3)
    for info in results["cameras"]:
        info["history"] = info["history_right"]
    exchanged = step.transform(dict(results))
    np.testing.assert_array_equal(both["history_right"], exchanged["history"])
    # Whoever looks at pairs knows their baseline.
    alone = step.transform(results | {"inputs": {"images", "history_right"}})
    assert alone["focal_baseline"].tolist() == [40, 41] and "right" not in alone
    for info in results["cameras"]:
        info["history_right"] = []
    assert "history_right" not in step.transform(dict(results))


def test_inputs_that_the_data_set_has_not(tmp_path: Path):
    results = clip(tmp_path, 20, 30) | {"inputs": {"images", "right", "current_from_history"}}
    results["cameras"][0]["right"] = None
    for use in (LoadImages().required_files, LoadImages().transform):
        with pytest.raises(InvalidValueError, match="sequence 00 frame 000002: the input 'right'"):
            use(results)
    results = clip(tmp_path, 20, 30) | {"inputs": {"images", "current_from_history"}}
    results["cameras"][0]["current_from_history"] = None
    with pytest.raises(InvalidValueError, match=r"'current_from_history'.*poses"):
        LoadImages().transform(results)
    # Without names, what is not there is not loaded.
    results["inputs"] = None
    assert "current_from_history" not in LoadImages((16, 32)).transform(results)


def test_errors_name_the_file(tmp_path: Path):
    write(tmp_path / "0_right.png", np.zeros((20, 31, 3), dtype=np.uint8))
    broken = tmp_path / "broken"
    broken.mkdir()

    def load(name: str, content: bytes | None, inputs: set[str] | None = None) -> None:
        results = clip(broken, 20, 30) | {"inputs": inputs}
        path = broken / name
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        LoadImages((16, 32)).transform(results)

    wider = (tmp_path / "0_right.png").read_bytes()
    with pytest.raises(InvalidValueError, match=r"right\.png: image is 31 x 20, but .*30 x 20"):
        load("0_right.png", wider)
    with pytest.raises(InvalidValueError, match=r"right\.png: image cannot be decoded"):
        load("0_right.png", b"no image")
    with pytest.raises(MissingFileError, match=r"0_1\.png"):
        load("0_1.png", None, {"history"})
    content = Path(clip(broken, 20, 30)["cameras"][0]["history"][0]).read_bytes()
    with pytest.raises(InvalidValueError, match=r"0_0\.png: image cannot be decoded"):
        load("0_0.png", content[: len(content) // 2], {"history"})


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_pixels_of_every_kind_of_file_are_those_of_pillow(tmp_path: Path, mode: str, suffix: str):
    path = tmp_path / f"image{suffix}"
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).convert(mode)
    if suffix == ".jpg" and mode not in ("RGB", "L"):
        pytest.skip("no such JPEG")
    exif = Image.Exif()
    # To be shown turned by a quarter: the calibration is that of the stored pixels.
    exif[0x0112] = 6
    image.save(path, exif=exif)
    found = read_image(path)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.asarray(picture(str(path))))


def test_a_png_that_lacks_its_end_alone_is_read(tmp_path: Path):
    path = Path(clip(tmp_path, 20, 30)["cameras"][0]["image"])
    expected = np.asarray(picture(str(path)))
    path.write_bytes(path.read_bytes()[:-12])
    np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize("key", ["resize", "history_resize", "history_images", "pixels"])
def test_unknown_settings_are_refused(key: str):
    with pytest.raises(InvalidValueError, match=f"{key}='x' is unknown"):
        LoadImages(**{key: "x"})


def test_decoded_images_take_the_place_of_files(tmp_path: Path):
    files, decoded = clip(tmp_path, 38, 124), clip(tmp_path, 38, 124)
    camera = decoded["cameras"][0]
    paths = {camera["image"], camera["right"], *camera["history"]}
    renamed = {path: f"video frame {number}" for number, path in enumerate(sorted(paths))}
    camera |= {key: renamed[camera[key]] for key in ("image", "right")}
    camera["history"] = [renamed[path] for path in camera["history"]]
    decoded["decoded"] = {renamed[path]: np.asarray(picture(path)) for path in paths}
    step = LoadImages((32, 128))
    expected, found = step.transform(files), step.transform(decoded)
    for key in ("images", "right", "history"):
        np.testing.assert_array_equal(found[key], expected[key])
    np.testing.assert_array_equal(
        found["cameras"].image_transform, expected["cameras"].image_transform
    )
