"""Random damage to every kind of file: read soundly, or refused by the project's own errors."""

from __future__ import annotations

import io
import time
import warnings
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from damage import mutated
from PIL import Image

from htcl.apis.camera_file import CameraCalibration, read_calibration
from htcl.datasets.calibration import KittiCalibration, read_poses, read_times
from htcl.datasets.depth_files import read_depth_file
from htcl.datasets.image_files import read_image
from htcl.datasets.scan_files import read_point_labels, read_scan
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.training_labels import make_training_label
from htcl.datasets.transforms.load_voxel_labels import read_ready
from htcl.datasets.voxel_files import read_voxel_labels, read_voxel_mask
from htcl.errors import UserError
from htcl.evaluation.submission import check_submission
from htcl.geometry import VoxelGrid
from htcl.visualization.result_file import FrameResult

SHAPE = (16, 8, 8)
GRID = VoxelGrid((0.0, -4.0, -2.0), 1.0, SHAPE)
SPECIFICATION = replace(SEMANTICKITTI, grid=GRID, stored_grid=GRID)
YAML = """image_size: [376, 1241]
fx: 718.9
fy: 718.9
cx: 607.2
cy: 185.2
baseline: 0.532
camera:
  height: 1.65
  pitch: 0.0
"""
# Seconds that one small file may take: a hang is thousands of times more.
LONGEST = 20.0


def _bytes(save: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def _arrays(**arrays: np.ndarray) -> bytes:
    return _bytes(lambda file: np.savez_compressed(file, **arrays))


def _picture(suffix: str, mode: str = "RGB") -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    return _bytes(lambda file: image.save(file, format=suffix))


def _labels() -> np.ndarray:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[:, :, 0], labels[4:6, 2:4, 1:3], labels[:, 0] = 9, 1, 255
    return labels


def _result() -> bytes:
    result = FrameResult(
        prediction=np.ones((4, 4, 2), dtype=np.uint8),
        images=np.zeros((1, 6, 10, 3), dtype=np.uint8),
        intrinsics=np.eye(4)[None],
        reference_from_camera=np.eye(4)[None],
        voxel_origin=np.zeros(3),
        voxel_size=np.ones(3),
        class_names=("empty", "car"),
        palette=np.zeros((2, 3), dtype=np.uint8),
        sequence="08",
        frame="000000",
    )
    entries = {name: value for name, value in vars(result).items() if value is not None}
    return _arrays(format_version=np.int64(2), **entries)


def _calibration(path: Path) -> list[np.ndarray]:
    found = KittiCalibration.from_file(path)
    return [found.p2, found.p3, found.camera_from_lidar, found.lidar_from_camera]


def _yaml(path: Path) -> list[np.ndarray]:
    found = read_calibration(path)
    assert isinstance(found, CameraCalibration)
    return [found.kitti.p2, found.kitti.p3, found.kitti.camera_from_lidar]


def _image(path: Path) -> list[np.ndarray]:
    image = read_image(path)
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    return [image]


def _scan(path: Path) -> list[np.ndarray]:
    points = read_scan(path)
    assert points.dtype == np.float32 and points.shape[1] == 4 and len(points)
    assert np.abs(points[:, :3]).max() <= 1000
    return [points[:, :3]]


def _point_labels(path: Path) -> list[np.ndarray]:
    labels = SPECIFICATION.points_from_raw(read_point_labels(path, 50), strict=True, source=path)
    assert labels.shape == (50,) and labels.max() < 20
    return [labels]


def _voxels(path: Path) -> list[np.ndarray]:
    raw = read_voxel_labels(path, SHAPE)
    labels = make_training_label(raw, np.zeros(SHAPE, dtype=bool), SPECIFICATION, source=path)
    assert labels.shape == SHAPE and np.isin(labels, [*range(20), 255]).all()
    return [labels]


def _mask(path: Path) -> list[np.ndarray]:
    mask = read_voxel_mask(path, SHAPE)
    assert mask.shape == SHAPE and mask.dtype == np.bool_
    return []


def _ready(path: Path) -> list[np.ndarray]:
    labels = read_ready(str(path), "1_1", SPECIFICATION)
    assert labels.shape == SHAPE and np.isin(labels, [*range(20), 255]).all()
    return [labels]


def _depth(path: Path) -> list[np.ndarray]:
    found = read_depth_file(path)
    assert found.values.dtype == np.float32 and (found.values >= 0).all()
    return [found.values, *([] if found.planes is None else [found.planes])]


def _frame_result(path: Path) -> list[np.ndarray]:
    found = FrameResult.load(path)
    assert "/" not in found.sequence + found.frame
    return [found.prediction]


def _archive(path: Path) -> list[np.ndarray]:
    assert all(isinstance(line, str) for line in check_submission(path, SPECIFICATION))
    return []


def _submission() -> bytes:
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("sequences/", "sequences/11/", "sequences/11/predictions/"):
            archive.mkdir(name.rstrip("/"))
        label = np.zeros(SHAPE, dtype=np.uint16).tobytes()
        archive.writestr("sequences/11/predictions/000000.label", label)
    return file.getvalue()


def _parsers(tree: Path) -> dict[str, tuple[str, bytes, Callable[[Path], list[np.ndarray]]]]:
    """File name, sound content and reader of each kind of file."""
    folder = tree / "sequences/00"
    rng = np.random.default_rng(0)
    raw = np.array(SEMANTICKITTI.raw_ids, dtype=np.uint16)
    scan = rng.uniform(-50, 50, (50, 4)).astype("<f4").tobytes()
    points = raw[rng.integers(1, 20, 50)].astype("<u4").tobytes()
    voxels = raw[np.where(_labels() == 255, 0, _labels())].astype("<u2").tobytes()
    npy = _bytes(lambda file: np.save(file, _labels()))
    depth = rng.uniform(1, 80, (6, 10)).astype(np.float32)
    volume = {"probability": rng.random((4, 3, 5)), "depth": np.array([2.0, 4.0, 8.0, 16.0])}
    parsers: dict = {
        "calibration": ("calib.txt", (folder / "calib.txt").read_bytes(), _calibration),
        "poses": ("poses.txt", (folder / "poses.txt").read_bytes(), lambda p: [read_poses(p)]),
        "times": ("times.txt", (folder / "times.txt").read_bytes(), lambda p: [read_times(p)]),
        "yaml": ("camera.yml", YAML.encode(), _yaml),
        "scan": ("0.bin", scan, _scan),
        "point labels": ("0.label", points, _point_labels),
        "voxels": ("1.label", voxels, _voxels),
        "mask": ("1.invalid", np.packbits(_labels() == 255).tobytes(), _mask),
        "ready npy": ("0_1_1.npy", npy, _ready),
        "ready npz": ("0_1_1.npz", _arrays(labels=_labels()), _ready),
        "depth": ("0.npz", _arrays(depth=depth), _depth),
        "depth volume": ("1.npz", _arrays(**volume), _depth),
        "result": ("2.npz", _result(), _frame_result),
        "submission": ("s.zip", _submission(), _archive),
    }
    for suffix in ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM", "GIF"):
        parsers[suffix] = (f"0.{suffix.lower()}", _picture(suffix), _image)
    parsers["grey PNG"] = ("1.png", _picture("PNG", "L"), _image)
    parsers["RGBA PNG"] = ("2.png", _picture("PNG", "RGBA"), _image)
    return parsers


KINDS = (
    *("calibration", "poses", "times", "yaml", "scan", "point labels", "voxels", "mask"),
    *("ready npy", "ready npz", "depth", "depth volume", "result", "submission"),
    *("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM", "GIF", "grey PNG", "RGBA PNG"),
)


def _fuzz(kind: str, tree: Path, folder: Path, count: int, seed: int) -> tuple[int, int]:
    """Reads ``count`` damaged files; returns how many were read and how many refused."""
    name, content, read = _parsers(tree)[kind]
    # A seed of the kind's own, the same in every process.
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode())])
    path = folder / name
    read_soundly = refused = 0
    for number in range(count):
        damaged = mutated(content, rng)
        path.write_bytes(damaged)
        start = time.monotonic()
        try:
            arrays = read(path)
            assert all(np.isfinite(array).all() for array in arrays), "not finite"
            read_soundly += 1
        except UserError as error:
            assert name in str(error), str(error)
            assert len(str(error)) < 2000
            refused += 1
        except Exception as error:
            raise AssertionError(f"{kind}, input {number}: {damaged[:300]!r}") from error
        assert time.monotonic() - start < LONGEST, f"{kind}, input {number}: {damaged[:300]!r}"
    return read_soundly, refused


@pytest.mark.parametrize("kind", KINDS)
def test_sound_files_are_read(kitti_tree: Path, tmp_path: Path, kind: str):
    name, content, read = _parsers(kitti_tree)[kind]
    (tmp_path / name).write_bytes(content)
    assert all(np.isfinite(array).all() for array in read(tmp_path / name))


@pytest.mark.parametrize("kind", KINDS)
def test_some_damage(kitti_tree: Path, tmp_path: Path, kind: str):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sound, refused = _fuzz(kind, kitti_tree, tmp_path, count=60, seed=1)
    assert sound + refused == 60
    # An archive's faults are lines of a list; a mask has no wrong content, only a wrong size.
    assert refused or kind == "submission"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_much_damage(kitti_tree: Path, tmp_path: Path, kind: str, record_property):
    """23 kinds of 4,400 inputs: over 100,000 in all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sound, refused = _fuzz(kind, kitti_tree, tmp_path, count=4400, seed=2)
    print(f"\n{kind}: {sound} read, {refused} refused")
    record_property("read", sound)
    record_property("refused", refused)
