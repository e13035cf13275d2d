"""A tiny nuScenes: two scenes whose car drives 10 m/s along the world's x, labels of both kinds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from htcl.datasets.nuscenes_frames import CAMERAS, LIDAR
from htcl.datasets.occ3d_specification import OCC3D
from htcl.datasets.occupancy_files import write_occ3d, write_occupied_voxels
from htcl.datasets.openoccupancy_specification import OPENOCCUPANCY

VERSION, SCENES, NUM_KEY_FRAMES, IMAGE_SIZE = "v1.0-tiny", ("scene-9001", "scene-9002"), 4, (36, 64)
SPEED, KEY_INTERVAL, SWEEP_INTERVAL = 10.0, 0.5, 0.125
# Yaw of each camera from the car's front to its left, degrees, and when it fires before the lidar.
YAWS = dict(zip(CAMERAS, (55.0, 0.0, -55.0, 110.0, 180.0, -110.0), strict=True))
DELAYS = dict(zip(CAMERAS, (-0.05, -0.04, -0.03, -0.02, -0.01, 0.0), strict=True))
FOCAL, CENTRE = 40.0, (31.5, 17.5)
# The lidar looks to the right of the car along its x.
EGO_FROM_LIDAR = np.array([[0, 1, 0, 0.9], [-1, 0, 0, 0], [0, 0, 1, 1.8], [0, 0, 0, 1]], float)
START = (400.0, 1100.0)


def ego_from_camera(name: str) -> np.ndarray:
    """Where a camera is on the car."""
    yaw = np.deg2rad(YAWS[name])
    matrix = np.eye(4)
    front = np.array([np.cos(yaw), np.sin(yaw), 0])
    matrix[:3, :3] = np.column_stack([np.cross(front, [0, 0, 1]), [0, 0, -1], front])
    matrix[:3, 3] = [1.0 + front[0] * 0.5, front[1] * 0.5, 1.5]
    return matrix


def world_from_ego(time: float) -> np.ndarray:
    """Pose of the car; its front is the world's x."""
    matrix = np.eye(4)
    matrix[:2, 3] = START
    matrix[0, 3] += SPEED * time
    return matrix


def write_tree(root: Path, sweeps: bool = True) -> Path:
    """Writes tables, pictures, scans and both kinds of labels; returns the root."""
    tables: dict[str, list[dict]] = {
        name: []
        for name in ("scene", "sample", "sample_data", "calibrated_sensor", "ego_pose", "sensor")
    }
    mountings = {name: ego_from_camera(name) for name in CAMERAS} | {LIDAR: EGO_FROM_LIDAR}
    for name, mounting in [*mountings.items(), ("RADAR_FRONT", np.eye(4))]:
        intrinsics = [[FOCAL, 0, CENTRE[0]], [0, FOCAL, CENTRE[1]], [0, 0, 1]]
        tables["sensor"].append({"token": f"sensor-{name}", "channel": name})
        tables["calibrated_sensor"].append(
            {
                "token": f"mounted-{name}",
                "sensor_token": f"sensor-{name}",
                **_placed(mounting),
                "camera_intrinsic": intrinsics if name in CAMERAS else [],
            }
        )
    rng = np.random.default_rng(0)
    for number, scene in enumerate(SCENES):
        tables["scene"].append({"token": f"token-{scene}", "name": scene})
        start = 1000.0 * number
        for index in range(NUM_KEY_FRAMES):
            time = start + index * KEY_INTERVAL
            sample = f"{scene}-{index}"
            tables["sample"].append(
                {
                    "token": sample,
                    "timestamp": _stamp(time),
                    "scene_token": f"token-{scene}",
                }
            )
            delays = {**DELAYS, LIDAR: 0.0, "RADAR_FRONT": 0.0}
            for channel, delay in delays.items():
                _add(root, tables, rng, sample, channel, start, time + delay, is_key=True)
                if sweeps and channel in CAMERAS and index < NUM_KEY_FRAMES - 1:
                    for part in (1, 2, 3):
                        moment = time + delay + part * SWEEP_INTERVAL
                        _add(root, tables, rng, sample, channel, start, moment, is_key=False)
            _write_labels(root, rng, scene, sample)
    folder = root / VERSION
    folder.mkdir(parents=True)
    for name, rows in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(rows))
    splits = {"train": [SCENES[0]], "val": [SCENES[1]]}
    (folder / "splits.json").write_text(json.dumps(splits))
    return root


def change_table(root: Path, name: str, change) -> None:
    """Changes the rows of a table by a function of the list."""
    path = root / VERSION / f"{name}.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def _stamp(time: float) -> int:
    return 1_532_402_927_000_000 + round(time * 1e6)


def _placed(matrix: np.ndarray) -> dict:
    rotation = Rotation.from_matrix(matrix[:3, :3]).as_quat(scalar_first=True)
    return {"translation": matrix[:3, 3].tolist(), "rotation": rotation.tolist()}


def _add(root, tables, rng, sample, channel, start, time, is_key) -> None:
    token = f"{channel}-{_stamp(time)}"
    name = f"{'samples' if is_key else 'sweeps'}/{channel}/{token}"
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    if channel in CAMERAS:
        name += ".png"
        picture = rng.integers(0, 256, (*IMAGE_SIZE, 3), dtype=np.uint8)
        Image.fromarray(picture).save(root / name)
    elif channel == LIDAR:
        name += ".pcd.bin"
        points = rng.uniform((-30, -30, -1.8, 0, 0), (30, 30, 1, 255, 31), (400, 5))
        points.astype("<f4").tofile(root / name)
    tables["ego_pose"].append({"token": f"pose-{token}", **_placed(world_from_ego(time - start))})
    tables["sample_data"].append(
        {
            "token": token,
            "sample_token": sample,
            "ego_pose_token": f"pose-{token}",
            "calibrated_sensor_token": f"mounted-{channel}",
            "timestamp": _stamp(time),
            "is_key_frame": is_key,
            "filename": name,
        }
    )


def _write_labels(root: Path, rng: np.random.Generator, scene: str, sample: str) -> None:
    labels = np.zeros(OPENOCCUPANCY.grid.shape, dtype=np.uint8)
    # A road below the lidar, a car in front of it, some noise.
    labels[156:356, 156:356, 15] = 11
    labels[250:260, 290:310, 16:24] = 4
    labels[100:103, 100:103, 20] = 255
    lidar = f"{LIDAR}-{_stamp(1000.0 * SCENES.index(scene) + KEY_INTERVAL * int(sample[-1]))}"
    folder = root / "nuScenes-Occupancy" / f"scene_token-{scene}" / "occupancy"
    write_occupied_voxels(folder / f"{lidar}.npy", labels, OPENOCCUPANCY)
    dense = np.full(OCC3D.grid.shape, 17, dtype=np.uint8)
    dense[..., 2] = 11
    dense[130:140, 95:105, 3:7] = 4
    seen = rng.random(dense.shape) < 0.3
    masks = {"mask_camera": seen, "mask_lidar": seen | (rng.random(dense.shape) < 0.2)}
    write_occ3d(root / "gts" / scene / sample / "labels.npz", dense, masks, OCC3D)
