"""A tiny tree in the layout of SSCBench-KITTI-360, and what is in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from htcl.datasets.kitti360_calibration import write_numbered_poses
from htcl.datasets.kitti360_layout import drive_name
from htcl.datasets.voxel_files import write_voxel_labels, write_voxel_mask

NUM_FRAMES, VOXEL_FRAMES, IMAGE_SIZE = 12, (0, 5, 10), (34, 128)
# An eleventh of the cameras of KITTI-360.
FOCAL, CENTRE, RIGHT_OFFSET = 50.232, (62.0, 21.7), -29.847
# Camera 0, before its rectification by a hundredth around the vertical axis, looks ahead.
LIDAR_FROM_CAMERA = np.array(
    [[0, 0, 1, 0.8], [-1, 0, 0, 0.3], [0, -1, 0, -0.18], [0, 0, 0, 1]], dtype=float
)
COS, SIN = np.cos(0.01), np.sin(0.01)
RECTIFICATION = np.array([[COS, 0, SIN], [0, 1, 0], [-SIN, 0, COS]])
IMU_FROM_CAMERA = np.array(
    [[0, 0, 1, 1.5], [1, 0, 0, -0.3], [0, 1, 0, -0.9], [0, 0, 0, 1]], dtype=float
)
# The world is far away, as in KITTI-360, and the car drives a metre a frame.
START = (1_200.0, 3_800.0, 115.0)


def camera_poses(count: int = NUM_FRAMES) -> np.ndarray:
    """``world_from_camera`` (T, 4, 4) of rectified camera 0."""
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, 3] = START
    poses[:, 2, 3] += np.arange(count)
    return poses


def text_of(matrix: np.ndarray) -> str:
    """The numbers of a matrix in one line."""
    return " ".join(f"{value:.12e}" for value in np.ravel(matrix))


def write_calibration(folder: Path) -> None:
    """Writes the files of the folder ``calibration``."""
    folder.mkdir(parents=True)
    left = np.array([[FOCAL, 0, CENTRE[0], 0], [0, FOCAL, CENTRE[1], 0], [0, 0, 1, 0]])
    right = left.copy()
    right[0, 3] = RIGHT_OFFSET
    lines = [f"R_rect_00: {text_of(RECTIFICATION)}", f"P_rect_00: {text_of(left)}"]
    lines += [f"P_rect_01: {text_of(right)}", "S_rect_00: 128 34"]
    (folder / "perspective.txt").write_text("\n".join(lines) + "\n")
    (folder / "calib_cam_to_velo.txt").write_text(text_of(LIDAR_FROM_CAMERA[:3]) + "\n")
    (folder / "calib_cam_to_pose.txt").write_text(f"image_00: {text_of(IMU_FROM_CAMERA[:3])}\n")


def write_drive(root: Path, sequence: str) -> Path:
    """Writes a drive: a road, a car and a wall, and what is not valid."""
    rng = np.random.default_rng(int(sequence))
    folder = root / "data_2d_raw" / drive_name(sequence)
    for name in ("image_00", "image_01"):
        (folder / name / "data_rect").mkdir(parents=True)
    (folder / "velodyne").mkdir()
    for frame in range(NUM_FRAMES):
        name = f"{frame:06d}"
        picture = rng.integers(0, 256, (*IMAGE_SIZE, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / f"image_00/data_rect/{name}.png")
        right = np.roll(picture, -3, axis=1)
        Image.fromarray(right).save(folder / f"image_01/data_rect/{name}.png")
    write_numbered_poses(folder / "cam0_to_world.txt", camera_poses())
    raw, invalid = voxels()
    for frame in VOXEL_FRAMES:
        stem = folder / f"voxels/{frame:06d}"
        write_voxel_labels(stem.with_suffix(".label"), raw)
        write_voxel_mask(stem.with_suffix(".bin"), raw > 0, packed=False)
        write_voxel_mask(stem.with_suffix(".invalid"), invalid, packed=False)
        points = rng.uniform((3, -9, -1.75, 0), (50, 9, -1.65, 1), (900, 4)).astype("<f4")
        points.tofile(folder / f"velodyne/{frame:06d}.bin")
    return folder


def voxels() -> tuple[np.ndarray, np.ndarray]:
    """Raw labels uint16 and the invalid mask, (256, 256, 32)."""
    raw = np.zeros((256, 256, 32), dtype=np.uint16)
    raw[:, 88:168, 1] = 40
    raw[50:65, 138:148, 2:9] = 10
    raw[:, 68:73, 2:20] = 52
    raw[30:33, 75:78, 2:12] = 71  # a trunk, which is no class of the benchmark
    invalid = np.zeros(raw.shape, dtype=bool)
    invalid[:, :78] = True
    return raw, invalid


def write_tree(root: Path, sequences: tuple[str, ...] = ("00", "06", "09")) -> Path:
    """Writes calibration and drives; returns the root."""
    write_calibration(root / "calibration")
    for sequence in sequences:
        write_drive(root, sequence)
    return root
