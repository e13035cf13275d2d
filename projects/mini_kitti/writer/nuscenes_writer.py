"""Writes scenes in the table layout of nuScenes, with labels of OpenOccupancy and Occ3D."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from htcl.datasets.label_tables import id_table, look_up
from htcl.datasets.nuscenes_frames import LIDAR
from htcl.datasets.occ3d_specification import OCC3D
from htcl.datasets.occupancy_files import write_occ3d, write_occupied_voxels
from htcl.datasets.openoccupancy_specification import OPENOCCUPANCY
from htcl.datasets.specification import DatasetSpecification
from htcl.datasets.voxelizer import LidarScan, VoxelizedFrame, visible_voxels, voxelize
from htcl.files import atomic_write
from htcl.geometry import field_of_view
from mini_kitti.assets.raw_labels import MovingLabel, RawLabel
from mini_kitti.sensors.lidar import NUM_BEAMS, scan_street
from mini_kitti.sensors.rendering import render_image
from mini_kitti.sensors.surround import make_surround_rig, roof_lidar
from mini_kitti.sensors.view import View
from mini_kitti.writer.sequence_writer import FRAME_INTERVAL, SequenceWriter
from mini_kitti.writer.settings import HELD_OUT, is_test

__all__ = [
    "GTS",
    "NUSCENES_VERSION",
    "OCCUPANCY",
    "NuScenesWriter",
    "scene_name",
    "scene_token",
    "write_tables",
]

NUSCENES_VERSION = "v1.0-streets"
# Folders of the labels in an unfinished scene.
OCCUPANCY, GTS = "occupancy", "gts"
_ROWS = "rows.json"
# Key frames begin so many frames into the drive: there is street behind the car too.
_FIRST_FRAME = 30
# The ground truth gathers scans from so far behind and ahead, every n-th of them; metres.
_REACH, _SCAN_STRIDE, _MAX_RANGE = 50.0, 3, 50.0
_START = 1_600_000_000_000_000
_MICRO = 1e6
# What stands for what in nuScenes; it has no class of its own for fences.
_CLASSES = {
    RawLabel.FENCE: "barrier",
    RawLabel.BICYCLE: "bicycle",
    RawLabel.BICYCLIST: "bicycle",
    MovingLabel.BICYCLIST: "bicycle",
    RawLabel.OTHER_VEHICLE: "bus",
    RawLabel.CAR: "car",
    MovingLabel.CAR: "car",
    RawLabel.MOTORCYCLE: "motorcycle",
    RawLabel.MOTORCYCLIST: "motorcycle",
    RawLabel.PERSON: "pedestrian",
    MovingLabel.PERSON: "pedestrian",
    RawLabel.TRUCK: "truck",
    RawLabel.ROAD: "driveable_surface",
    RawLabel.PARKING: "driveable_surface",
    RawLabel.LANE_MARKING: "driveable_surface",
    RawLabel.OTHER_GROUND: "other_flat",
    RawLabel.SIDEWALK: "sidewalk",
    RawLabel.TERRAIN: "terrain",
    RawLabel.BUILDING: "manmade",
    RawLabel.POLE: "manmade",
    RawLabel.SIGN: "manmade",
    RawLabel.VEGETATION: "vegetation",
    RawLabel.TRUNK: "vegetation",
}
_SCENE_TABLES = ("scene", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sensor", "log")
# nuScenes' other tables, which have nothing to say here: boxes and maps.
_EMPTY_TABLES = ("attribute", "category", "instance", "map", "sample_annotation", "visibility")
_MAP = "0" * 32
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]


class NuScenesWriter(SequenceWriter):
    """Writes a scene: key frames of six images and a scan, their labels, and rows of the tables.

    Frames are those of the drive at 10 Hz, key frames every ``label_every``-th of them (2 Hz by
    default). Each camera fires at its own time, before the scan, at the pose of that time. Poses
    have the height of the road, which nuScenes' lack.
    """

    def write(self) -> None:
        """Write all files."""
        self._rows: dict[str, list[dict[str, Any]]] = {name: [] for name in _SCENE_TABLES}
        self._cameras, self._ego_from_lidar = (
            make_surround_rig(self.settings.image_size),
            roof_lidar(),
        )
        self._scene_name = scene_name(self.number)
        keys = range(_FIRST_FRAME, _FIRST_FRAME + self.frames, self.settings.label_every)
        self._add_scene(len(keys))
        scans = self._scans_around(keys) if self.labelled else {}
        for frame in keys:
            self._write_key_frame(frame)
            self.progress(1)
            scan = scans[frame] if frame in scans else self._roof_scan(frame)
            self._write_points(frame, scan)
            if self.labelled:
                self._write_labels(frame, scans)
            self.progress(1)
        with atomic_write(self.folder / _ROWS, "w") as file:
            json.dump(self._rows, file, indent=1)

    def ego_pose(self, frame: float) -> np.ndarray:
        """``world_from_ego`` (4, 4) at a frame number; it may be fractional."""
        camera = self.poses(np.array([frame]))[0]
        pose = np.eye(4)
        # The ego frame is below the camera of the other layouts: x front, y left, z up.
        pose[:3, :3] = np.column_stack([camera[:3, 2], -camera[:3, 0], -camera[:3, 1]])
        pose[:3, 3] = camera[:3, 3] + self.rig.camera_height * camera[:3, 1]
        return pose

    def _token(self, *what: object) -> str:
        words = "/".join(map(str, (self.settings.seed, self._scene_name, *what)))
        return hashlib.blake2b(words.encode(), digest_size=16).hexdigest()

    def _stamp(self, frame: float) -> int:
        seconds = self.number * 1000 + frame * FRAME_INTERVAL
        return _START + round(seconds * _MICRO)

    def _add_scene(self, count: int) -> None:
        rows, scene, log = self._rows, self._token("scene"), self._token("log")
        sensors = {name: camera.ego_from_camera for name, camera in self._cameras.items()}
        for name, pose in {**sensors, LIDAR: self._ego_from_lidar}.items():
            # All scenes have the same sensors.
            sensor = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
            modality = "lidar" if name == LIDAR else "camera"
            rows["sensor"].append({"token": sensor, "channel": name, "modality": modality})
            intrinsics: list[Any] = []
            if name != LIDAR:
                intrinsics = self._cameras[name].rig.projections[name][:, :3].tolist()
            rows["calibrated_sensor"].append(
                {
                    "token": self._token("mounted", name),
                    "sensor_token": sensor,
                    **_placed(pose),
                    "camera_intrinsic": intrinsics,
                }
            )
        rows["log"].append(
            {
                "token": log,
                "logfile": "",
                "vehicle": "synthetic",
                "date_captured": "2020-09-13",
                "location": "synthetic-street",
            }
        )
        samples = [
            self._token("sample", _FIRST_FRAME + i * self.settings.label_every)
            for i in range(count)
        ]
        rows["scene"].append(
            {
                "token": scene,
                "log_token": log,
                "nbr_samples": count,
                "first_sample_token": samples[0],
                "last_sample_token": samples[-1],
                "name": self._scene_name,
                "description": "synthetic",
            }
        )
        ends = ["", *samples, ""]
        for index, token in enumerate(samples):
            frame = _FIRST_FRAME + index * self.settings.label_every
            rows["sample"].append(
                {
                    "token": token,
                    "timestamp": self._stamp(frame),
                    "prev": ends[index],
                    "next": ends[index + 2],
                    "scene_token": scene,
                }
            )

    def _write_key_frame(self, frame: int) -> None:
        for number, (name, camera) in enumerate(self._cameras.items()):
            moment = frame - camera.early / FRAME_INTERVAL
            self.scene.move_to(moment * FRAME_INTERVAL)
            light = self.light.with_moving(self.scene)
            pose = self.ego_pose(moment)
            view = View(camera.rig, name, pose @ camera.ego_from_camera)
            image = render_image(self.scene, light, view, self._rng(20 + number, frame))
            path = self._add_reading(name, frame, moment, pose, "jpg")
            if not cv2.imwrite(str(path), np.ascontiguousarray(image[..., ::-1]), _JPEG):
                raise OSError(f"{path}: could not write the image (disk full?)")

    def _add_reading(
        self, channel: str, frame: int, moment: float, pose: np.ndarray, suffix: str
    ) -> Path:
        """Adds the rows of a picture or scan; returns the path of its file."""
        token, stamp = self._token(channel, frame), self._stamp(moment)
        name = f"{self._scene_name}__{channel}__{stamp}.{suffix}"
        path = self.folder / channel / name
        path.parent.mkdir(exist_ok=True)
        height, width = (0, 0) if channel == LIDAR else self.settings.image_size
        step = self.settings.label_every
        last = _FIRST_FRAME + (self.frames - 1) // step * step
        self._rows["ego_pose"].append({"token": token, "timestamp": stamp, **_placed(pose)})
        self._rows["sample_data"].append(
            {
                "token": token,
                "sample_token": self._token("sample", frame),
                "ego_pose_token": token,
                "calibrated_sensor_token": self._token("mounted", channel),
                "timestamp": stamp,
                "fileformat": suffix.split(".", maxsplit=1)[0],
                "is_key_frame": True,
                "height": height,
                "width": width,
                "filename": f"samples/{self._scene_name}/{channel}/{name}",
                "prev": "" if frame == _FIRST_FRAME else self._token(channel, frame - step),
                "next": "" if frame == last else self._token(channel, frame + step),
            }
        )
        return path

    def _roof_scan(self, frame: int) -> LidarScan:
        self.scene.move_to(frame * FRAME_INTERVAL)
        pose = self.ego_pose(frame) @ self._ego_from_lidar
        rng = self._rng(30, frame + 10_000)
        points, labels = scan_street(self.scene, pose, rng, self.settings.lidar_azimuths)
        return LidarScan(points, labels, pose)

    def _write_points(self, frame: int, scan: LidarScan) -> None:
        path = self._add_reading(LIDAR, frame, frame, self.ego_pose(frame), "pcd.bin")
        elevation = np.arctan2(scan.points[:, 2], np.hypot(*scan.points[:, :2].T))
        order = np.argsort(np.argsort(elevation)) * NUM_BEAMS // max(len(elevation), 1)
        np.column_stack([scan.points, order]).astype("<f4").tofile(path)

    def _scans_around(self, keys: range) -> dict[int, LidarScan]:
        """The scans of the key frames, and others between, before and after them."""
        margin = round(_REACH / self.step)
        between = range(keys[0] - margin, keys[-1] + margin + 1, _SCAN_STRIDE)
        return {frame: self._roof_scan(frame) for frame in sorted({*keys, *between})}

    def _write_labels(self, frame: int, scans: dict[int, LidarScan]) -> None:
        near = {n: s for n, s in scans.items() if abs(n - frame) * self.step <= _REACH}
        lidar = scans[frame].pose
        # This benchmark has no masks: nothing else than the frame's own sight is worth its time.
        _, labels = _truth(near, frame, lidar, OPENOCCUPANCY, viewpoints=1)
        path = self.folder / OCCUPANCY / "occupancy" / f"{self._token(LIDAR, frame)}.npy"
        write_occupied_voxels(path, labels, OPENOCCUPANCY)
        ego = self.ego_pose(frame)
        result, labels = _truth(near, frame, ego, OCC3D, viewpoints=4)
        masks = {"mask_lidar": ~result.invalid}
        masks["mask_camera"] = masks["mask_lidar"] & self._seen(result.label > 0)
        path = self.folder / GTS / self._token("sample", frame) / "labels.npz"
        write_occ3d(path, labels, masks, OCC3D)

    def _seen(self, occupied: np.ndarray) -> np.ndarray:
        """Which voxels of Occ3D's grid a camera sees, (X, Y, Z) bool."""
        seen = np.zeros(occupied.shape, dtype=bool)
        for name, camera in self._cameras.items():
            place = OCC3D.grid.to_voxels(camera.ego_from_camera[:3, 3])
            projection = np.eye(4)
            projection[:3] = camera.rig.projections[name]
            pose = camera.ego_from_camera[None]
            size = self.settings.image_size
            in_view = field_of_view(OCC3D.grid, projection[None], pose, size)
            seen |= in_view & visible_voxels(occupied, place)
        return seen


def _truth(
    scans: dict[int, LidarScan],
    frame: int,
    pose: np.ndarray,
    specification: DatasetSpecification,
    viewpoints: int,
) -> tuple[VoxelizedFrame, np.ndarray]:
    """The voxels of a benchmark's grid at a pose, and their training ids."""
    numbers = sorted(scans)
    result = voxelize(
        [scans[number] for number in numbers],
        pose,
        numbers.index(frame),
        grid=specification.grid,
        max_range=_MAX_RANGE,
        view_stride=max(len(numbers) // viewpoints, 1),
        car_box=None,
        # Both benchmarks move what moves by its box; here it is where the frame's own scan sees it.
        drop_moving=True,
    )
    names = {name: number for number, name in enumerate(specification.class_names)}
    table = {int(raw): names[name] for raw, name in _CLASSES.items()}
    labels = look_up(id_table(table, specification.empty_class), result.label)
    return result, labels


def _placed(pose: np.ndarray) -> dict[str, list[float]]:
    rotation = Rotation.from_matrix(pose[:3, :3]).as_quat(scalar_first=True)
    return {"translation": pose[:3, 3].tolist(), "rotation": rotation.tolist()}


def scene_name(number: int) -> str:
    """Name of the scene of a street, such as 'scene-0008'."""
    return f"scene-{number:04d}"


def scene_token(folder: Path) -> str:
    """Token of the scene whose rows are in a folder."""
    return str(json.loads((folder / _ROWS).read_text())["scene"][0]["token"])


def write_tables(root: Path) -> None:
    """Write the tables of all finished scenes, and which of them are for what."""
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in (*_SCENE_TABLES, *_EMPTY_TABLES)
    }
    splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for path in sorted((root / "samples").glob(f"*/{_ROWS}")):
        for name, rows in json.loads(path.read_text()).items():
            # All scenes have the same sensors.
            known = {row["token"] for row in tables[name]}
            tables[name] += [row for row in rows if row["token"] not in known]
        number = f"{int(path.parent.name[-4:]):02d}"
        held_out = "val" if number in HELD_OUT else "train"
        splits["test" if is_test(number) else held_out].append(path.parent.name)
    # The development kit wants a map; where no file is named it finds the data root.
    logs = [row["token"] for row in tables["log"]]
    tables["map"] = [{"token": _MAP, "category": "none", "filename": "", "log_tokens": logs}]
    for name, content in {**tables, "splits": splits}.items():
        with atomic_write(root / NUSCENES_VERSION / f"{name}.json", "w") as file:
            json.dump(content, file, indent=1)
