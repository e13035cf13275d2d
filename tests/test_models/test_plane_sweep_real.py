"""Plane sweep on real KITTI frames: does the geometry find the depth that the lidar measured?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sweep_cameras import make_cameras
from torch.nn import functional as F

from htcl.models.volumes import CorrelationVolume
from htcl.ops.plane_sweep import released_intrinsics, sweep_projection

DATA = Path(__file__).resolve().parents[3] / "shared/data/semantickitti/dataset/sequences/00"
CURRENT, HISTORY = 5, (2, 3, 4)
DEPTHS = 2 + 0.5 * torch.arange(112)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="no real frames beside the repository"),
]


def read_calibration():
    rows = (line.split(":") for line in (DATA / "calib.txt").read_text().splitlines() if line)
    out = {}
    for name, values in rows:
        out[name] = np.eye(4)
        out[name][:3] = np.array(values.split(), dtype=float).reshape(3, 4)
    return out


def half_size_grey(frame):
    image = Image.open(DATA / "image_2" / f"{frame:06d}.png").convert("L")
    size = (image.width // 2, image.height // 2)
    pixels = np.asarray(image.resize(size, Image.Resampling.BOX), dtype=np.float32)
    return torch.from_numpy(pixels.copy()), (image.height, image.width)


def census(image, radius=3):
    """Signs of the neighbours' differences to the middle of a 7 x 7 window: (48,h,w)."""
    size = 2 * radius + 1
    padded = F.pad(image[None, None], [radius] * 4, mode="replicate")
    patches = F.unfold(padded, size).view(size * size, *image.shape)
    signs = (patches - image).sign()
    return torch.cat([signs[: size * size // 2], signs[size * size // 2 + 1 :]])


def lidar_depth(camera_from_lidar, intrinsics, map_size):
    """Nearest lidar depth in each cell (h,w), 0 where there is none."""
    points = np.fromfile(DATA / "velodyne" / f"{CURRENT:06d}.bin", np.float32).reshape(-1, 4)
    points[:, 3] = 1
    column, row, depth, _ = intrinsics @ camera_from_lidar @ points[points[:, 0] > 1].T
    column, row = np.rint(column / depth).astype(int), np.rint(row / depth).astype(int)
    inside = (column >= 0) & (column < map_size[1]) & (row >= 0) & (row < map_size[0])
    inside &= (depth >= float(DEPTHS[0])) & (depth <= float(DEPTHS[-1]))
    out = np.full(map_size, np.inf)
    np.minimum.at(out, (row[inside], column[inside]), depth[inside])
    return torch.from_numpy(np.where(np.isfinite(out), out, 0))


def median_error(features, projection, depths, lidar):
    volume = CorrelationVolume(depth_chunk=4)
    similarity = volume(features[-1:], features[None, :-1], projection, depths).mean(dim=1)
    similarity = F.avg_pool2d(similarity, 7, stride=1, padding=3)
    found = DEPTHS[similarity[0].argmax(dim=0)]
    measured = lidar > 0
    return float(((found - lidar).abs() / lidar)[measured].median())


@torch.no_grad()
def test_untrained_census_sweep_agrees_with_the_lidar(capsys):
    calibration = read_calibration()
    poses = np.loadtxt(DATA / "poses.txt").reshape(-1, 3, 4)
    poses = np.concatenate([poses, np.tile([[[0, 0, 0, 1.0]]], (len(poses), 1, 1))], axis=1)
    source_from_current = torch.from_numpy(
        np.stack([np.linalg.inv(poses[frame]) @ poses[CURRENT] for frame in HISTORY])
    )[None]
    greys = [half_size_grey(frame) for frame in (*HISTORY, CURRENT)]
    image_size = greys[0][1]
    features = torch.stack([census(grey) for grey, _ in greys])
    map_size = tuple(features.shape[-2:])
    intrinsics = torch.from_numpy(calibration["P2"])[None]
    right = make_cameras(intrinsics, torch.eye(3)[None], image_size).map_intrinsics(map_size)
    lidar = lidar_depth(calibration["Tr"], right[0].numpy(), map_size)

    error = median_error(features, sweep_projection(right, source_from_current), DEPTHS, lidar)
    released = sweep_projection(
        released_intrinsics(intrinsics, map_size), source_from_current, unproject_offset=False
    )
    released_error = median_error(features, released, torch.linspace(0, 112, 112), lidar)
    with capsys.disabled():
        print(
            f"\nmedian relative depth error against lidar: right geometry {error:.1%}, "
            f"released intrinsics and planes {released_error:.1%}"
        )
    assert error <= 0.05
    assert released_error > 3 * error
