"""nuScenes' tables (``v1.0-trainval/*.json``) as moments of scenes.

Six tables are needed and no other, none of them whole: rows of other sensors are dropped while a
file is read, so that the 2.6 million rows of ``sample_data`` do not fill the memory.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from htcl.datasets.nuscenes_frames import (
    CAMERAS,
    LIDAR,
    MICROSECONDS,
    Moment,
    Reading,
    homogeneous_intrinsics,
    rigid_transform,
)
from htcl.errors import InvalidValueError, MissingFileError, listed
from htcl.files import read_text

TABLES = ("scene", "sample", "sample_data", "calibrated_sensor", "ego_pose", "sensor")
# The camera whose pictures are the moments between key frames.
_CLOCK = "CAM_FRONT"
# Bytes; sample_data.json of the whole data set has more than one of these.
_LARGEST_TABLE = 8 << 30
_SPLITS_FILE = "splits.json"


class _Row(NamedTuple):
    """What is kept of a row of ``sample_data``."""

    token: str
    file: str
    timestamp: int
    pose: str
    sensor: str
    sample: str
    is_key: bool


class NuScenesTables:
    """The scenes of a version of nuScenes.

    Args:
        root: Data root, which has the folder of the version, and ``samples``.
        version: Name of the folder, such as 'v1.0-trainval'.
        sweeps: Whether the pictures between key frames are wanted too.
        scenes: Names of the scenes that are wanted; None: all.

    Attributes:
        folder: The folder of the tables.
        scenes: Token of each scene of the version by its name.

    Raises:
        MissingFileError: If tables are missing; names them all.
        InvalidValueError: If one is damaged.
    """

    def __init__(
        self,
        root: str | Path,
        version: str,
        sweeps: bool = False,
        scenes: Collection[str] | None = None,
    ) -> None:
        self.folder = Path(root) / version
        missing = [path for path in map(self._path, TABLES) if not path.is_file()]
        if missing:
            there = sorted(path.parent.name for path in Path(root).glob("*/sample_data.json"))
            raise MissingFileError(
                f"{len(missing)} of nuScenes' tables are missing (tables here: "
                f"{', '.join(there) or 'none'}; keys data_root, version):{listed(missing)}"
            )
        names = self._read("scene", lambda row: (row["name"], row["token"]))
        self.scenes: dict[str, str] = dict(names)
        wanted = {token for name, token in names if scenes is None or name in scenes}
        samples = self._read(
            "sample",
            lambda row: (
                (row["token"], row["scene_token"], row["timestamp"])
                if row["scene_token"] in wanted
                else None
            ),
        )
        self._samples: dict[str, list[tuple[int, str]]] = defaultdict(list)
        scene_of = {}
        for token, scene, timestamp in samples:
            self._samples[scene].append((timestamp, token))
            scene_of[token] = scene
        channels = dict(self._read("sensor", lambda row: (row["token"], row["channel"])))
        self._sensors = self._mounted_sensors(channels)
        self._rows: dict[str, dict[str, list[_Row]]] = defaultdict(lambda: defaultdict(list))
        for row in self._sample_data(scene_of, sweeps):
            self._rows[scene_of[row.sample]][self._sensors[row.sensor][0]].append(row)
        self._poses = self._ego_poses()

    def moments(self, name: str) -> list[tuple[Moment, bool]]:
        """The moments of a scene in order of time, and whether each is a key frame.

        Raises:
            MissingFileError: If there is no such scene.
            InvalidValueError: If a key frame lacks a camera, the lidar or an ego pose, or has one
                twice.
        """
        if name not in self.scenes:
            raise MissingFileError(
                f"{self._path('scene')}: no scene {name!r}, found {_some(self.scenes)}"
            )
        scene = self.scenes[name]
        rows = self._rows[scene]
        found: list[tuple[Moment, bool]] = []
        by_sample: dict[str, dict[str, _Row]] = defaultdict(dict)
        for channel, several in rows.items():
            for row in several:
                if row.is_key and by_sample[row.sample].setdefault(channel, row) is not row:
                    raise InvalidValueError(
                        f"{self._path('sample_data')}: scene {name} frame {row.sample} has two "
                        f"key frames of {channel} ({by_sample[row.sample][channel].token} and "
                        f"{row.token}), expected one; copy the table anew"
                    )
        for timestamp, token in sorted(self._samples[scene]):
            where = f"scene {name} frame {token}"
            absent = [c for c in (*CAMERAS, LIDAR) if c not in by_sample[token]]
            if absent:
                raise InvalidValueError(
                    f"{self._path('sample_data')}: {where} has no key frame of "
                    f"{', '.join(absent)}, expected one of each camera and of {LIDAR}; copy the "
                    "table anew, or leave the scene out (key `sequences`)"
                )
            readings = {
                channel: self._reading(by_sample[token][channel], where)
                for channel in (*CAMERAS, LIDAR)
            }
            lidar = readings.pop(LIDAR)
            ego = self._pose(by_sample[token][LIDAR], where)
            time = timestamp * MICROSECONDS
            found.append((Moment(token, time, name, scene, readings, lidar, ego), True))
        found += [(moment, False) for moment in self._between(name, rows)]
        return sorted(found, key=lambda pair: pair[0].time)

    def path_of(self, table: str) -> str:
        """The file of a table, for messages."""
        return str(self._path(table))

    def _between(self, name: str, rows: Mapping[str, list[_Row]]) -> list[Moment]:
        """The moments between key frames: of each camera the picture nearest in time."""
        clock = sorted((row for row in rows[_CLOCK] if not row.is_key), key=_time)
        if not clock:
            return []
        pictures = {camera: sorted(rows[camera], key=_time) for camera in CAMERAS}
        times = {camera: np.array([_time(r) for r in pictures[camera]]) for camera in CAMERAS}
        absent = [camera for camera in CAMERAS if not pictures[camera]]
        if absent:
            raise InvalidValueError(
                f"{self._path('sample_data')}: scene {name} has no picture of {', '.join(absent)}, "
                f"expected some of each of {', '.join(CAMERAS)}; copy the table anew"
            )
        moments = []
        for row in clock:
            nearest = {c: int(np.abs(times[c] - row.timestamp).argmin()) for c in CAMERAS}
            where = f"scene {name} picture {row.token}"
            readings = {c: self._reading(pictures[c][i], where) for c, i in nearest.items()}
            time = row.timestamp * MICROSECONDS
            moments.append(Moment(row.token, time, name, self.scenes[name], readings))
        return moments

    def _reading(self, row: _Row, where: str) -> Reading:
        _, mounting, intrinsics = self._sensors[row.sensor]
        pose = self._pose(row, where) @ mounting
        return Reading(row.token, row.file, row.timestamp * MICROSECONDS, pose, intrinsics)

    def _pose(self, row: _Row, where: str) -> np.ndarray:
        if row.pose not in self._poses:
            raise InvalidValueError(
                f"{self._path('ego_pose')}: no row {row.pose}, which {row.file} of {where} needs; "
                "the table is cut short or of another version: copy all tables anew"
            )
        return rigid_transform(*self._poses[row.pose], f"{self._path('ego_pose')} row {row.pose}")

    def _sample_data(self, samples: Collection[str], sweeps: bool) -> list[_Row]:
        def keep(row: Mapping[str, Any]) -> _Row | None:
            sensor, is_key = row["calibrated_sensor_token"], row["is_key_frame"]
            if row["sample_token"] not in samples or not (is_key or sweeps):
                return None
            if sensor not in self._sensors:
                # Radars and the like are no sensors of ours; one that nobody knows is a fault.
                if sensor in self._others:
                    return None
                raise InvalidValueError(
                    f"{self._path('calibrated_sensor')}: no row {sensor}, which "
                    f"{row['filename']} needs; copy all tables anew"
                )
            if not is_key and self._sensors[sensor][0] == LIDAR:
                return None
            return _Row(
                row["token"], row["filename"], row["timestamp"], row["ego_pose_token"], sensor,
                row["sample_token"], is_key,
            )  # fmt: skip

        return self._read("sample_data", keep)

    def _mounted_sensors(
        self, channels: Mapping[str, str]
    ) -> dict[str, tuple[str, np.ndarray, np.ndarray | None]]:
        """Channel, ``ego_from_sensor`` and intrinsics by token; other sensors to ``_others``."""
        self._others: set[str] = set()
        path = self._path("calibrated_sensor")

        def keep(row: Mapping[str, Any]) -> tuple[str, Any] | None:
            where = f"{path} row {row['token']}"
            if row["sensor_token"] not in channels:
                raise InvalidValueError(
                    f"{where}: sensor {row['sensor_token']} is not in {self._path('sensor')}; copy "
                    "all tables anew"
                )
            channel = channels[row["sensor_token"]]
            if channel not in CAMERAS and channel != LIDAR:
                self._others.add(row["token"])
                return None
            intrinsics = None
            if channel != LIDAR:
                intrinsics = homogeneous_intrinsics(row["camera_intrinsic"], where)
            mounting = rigid_transform(row["translation"], row["rotation"], where)
            return row["token"], (channel, mounting, intrinsics)

        return dict(self._read("calibrated_sensor", keep))

    def _ego_poses(self) -> dict[str, tuple[Any, Any]]:
        needed = {row.pose for c in self._rows.values() for rows in c.values() for row in rows}
        return dict(
            self._read(
                "ego_pose",
                lambda row: (
                    (row["token"], (tuple(row["translation"]), tuple(row["rotation"])))
                    if row["token"] in needed
                    else None
                ),
            )
        )

    def _path(self, table: str) -> Path:
        return self.folder / f"{table}.json"

    def _read(self, table: str, keep: Callable[[Mapping[str, Any]], Any]) -> list[Any]:
        """What ``keep`` makes of the rows of a table; without those of which it makes None."""
        path = self._path(table)
        text = read_text(path, "nuScenes table", largest=_LARGEST_TABLE)
        try:
            rows = json.loads(text, object_hook=keep)
        except KeyError as error:
            raise InvalidValueError(
                f"{path}: a row has no {error}, expected the columns of nuScenes' schema; copy the "
                "table anew"
            ) from None
        # What strangers' files make the decoder and a row's reader raise.
        except (json.JSONDecodeError, RecursionError, TypeError, AttributeError) as error:
            raise InvalidValueError(
                f"{path}: no readable table ({error}), expected a list of rows; it is cut short or "
                "damaged: copy it anew"
            ) from None
        if not isinstance(rows, list):
            raise InvalidValueError(f"{path}: expected a list of rows; copy the table anew")
        return [row for row in rows if row is not None]


def read_splits(folder: Path) -> dict[str, list[str]]:
    """Scenes of the splits that lie beside tables, in the development kit's format; maybe none.

    Raises:
        InvalidValueError: If the file is no dict of lists of names.
    """
    path = folder / _SPLITS_FILE
    if not path.is_file():
        return {}
    try:
        splits = json.loads(read_text(path, "list of splits"))
        return {str(name): [str(scene) for scene in scenes] for name, scenes in splits.items()}
    except (json.JSONDecodeError, RecursionError, TypeError, AttributeError) as error:
        raise InvalidValueError(
            f'{path}: no list of splits ({error}), expected {{"train": ["scene-0001", ...], ...}}'
        ) from None


def _time(row: _Row) -> int:
    return row.timestamp


def _some(names: Collection[Hashable]) -> str:
    shown = ", ".join(map(str, sorted(map(str, names))[:5]))
    return f"{len(names)} ({shown}{', ...' if len(names) > 5 else ''})"
