"""Info pickles of nuScenes as moments: OpenOccupancy's, and mmdetection3d's of both generations.

What a pickle can do is limited: nothing of it runs but numpy's own arrays and numbers.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from htcl.datasets.nuscenes_frames import (
    CAMERAS,
    MICROSECONDS,
    Moment,
    Reading,
    homogeneous_intrinsics,
    rigid_matrix,
    rigid_transform,
)
from htcl.errors import InvalidValueError
from htcl.files import read_bytes

# What arrays and numbers of numpy 1 and 2 are made by; nothing here runs anything.
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    *(
        (f"numpy.{core}.multiarray", name)
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    ),
}
# Folders of nuScenes, from which on a path is one below the data root.
_FOLDERS = ("samples", "sweeps")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def read_infos(path: str | Path) -> list[Moment]:
    """The key frames of an info pickle, in its order.

    Args:
        path: ``nuscenes_occ_infos_{train,val}.pkl`` of OpenOccupancy, or the infos that
            mmdetection3d makes, before its version 1.1 (``infos``) or since (``data_list``; these
            name no scene).

    Raises:
        MissingFileError: If it is absent.
        InvalidValueError: If it is damaged, would run programs, or lacks a camera, a matrix or
            another entry; the frame is named.
    """
    content = read_bytes(path, "info pickle")
    try:
        infos = _Unpickler(io.BytesIO(content)).load()
    # A damaged pickle makes numpy and the machine of the pickle raise a dozen unrelated types.
    except Exception as error:
        raise InvalidValueError(
            f"{path}: no info pickle of plain data ({error}); download it anew, or use nuScenes' "
            "tables (leave the key `info_file` out)"
        ) from error
    for key, read in (("infos", _published), ("data_list", _of_mmdet3d)):
        if isinstance(infos, Mapping) and isinstance(infos.get(key), list):
            return [_moment(read, info, path, number) for number, info in enumerate(infos[key])]
    keys = sorted(map(str, infos)) if isinstance(infos, Mapping) else type(infos).__name__
    raise InvalidValueError(
        f"{path}: found {keys}, expected a dict with the list 'infos' or 'data_list'; is it "
        "OpenOccupancy's nuscenes_occ_infos_train.pkl or nuscenes_occ_infos_val.pkl?"
    )


def _moment(read: Any, info: Any, path: str | Path, number: int) -> Moment:
    token = info.get("token") if isinstance(info, Mapping) else None
    where = f"{path}: frame {token or number}"
    try:
        return read(info, where)
    except KeyError as error:
        raise InvalidValueError(
            f"{where}: there is no {error}, expected {', '.join(CAMERAS)} and their matrices; "
            "download the file anew, or use nuScenes' tables (leave the key `info_file` out)"
        ) from None
    except (TypeError, AttributeError) as error:
        raise InvalidValueError(
            f"{where}: no info of nuScenes ({error}); download the file anew"
        ) from None


def _published(info: Mapping[str, Any], where: str) -> Moment:
    """An info of OpenOccupancy, and of mmdetection3d before 1.1, which lacks two tokens."""

    def transform(entry: Mapping[str, Any], name: str) -> np.ndarray:
        return rigid_transform(entry[f"{name}_translation"], entry[f"{name}_rotation"], where)

    world_from_ego = transform(info, "ego2global")
    cameras = {}
    for name in CAMERAS:
        entry = info["cams"][name]
        cameras[name] = Reading(
            str(entry.get("sample_data_token", name)),
            _below_root(entry["data_path"]),
            float(entry["timestamp"]) * MICROSECONDS,
            transform(entry, "ego2global") @ transform(entry, "sensor2ego"),
            homogeneous_intrinsics(entry["cam_intrinsic"], f"{where} {name}"),
        )
    time = float(info["timestamp"]) * MICROSECONDS
    lidar = Reading(
        str(info.get("lidar_token", "")),
        _below_root(info["lidar_path"]),
        time,
        world_from_ego @ transform(info, "lidar2ego"),
    )
    scene = info.get("scene_token")
    return Moment(info["token"], time, str(scene), scene, cameras, lidar, world_from_ego)


def _of_mmdet3d(info: Mapping[str, Any], where: str) -> Moment:
    """An info of mmdetection3d since 1.1: the chain of both ego poses is in ``lidar2cam``."""
    world_from_ego = rigid_matrix(info["ego2global"], f"{where} ego2global")
    points = info["lidar_points"]
    world_from_lidar = world_from_ego @ rigid_matrix(points["lidar2ego"], f"{where} lidar2ego")
    cameras = {}
    for name in CAMERAS:
        entry = info["images"][name]
        camera_from_lidar = rigid_matrix(entry["lidar2cam"], f"{where} {name} lidar2cam")
        cameras[name] = Reading(
            str(entry["sample_data_token"]),
            f"samples/{name}/{entry['img_path']}",
            float(entry["timestamp"]),
            world_from_lidar @ np.linalg.inv(camera_from_lidar),
            homogeneous_intrinsics(entry["cam2img"], f"{where} {name}"),
        )
    time = float(info["timestamp"])
    lidar = Reading("", f"samples/LIDAR_TOP/{points['lidar_path']}", time, world_from_lidar)
    return Moment(info["token"], time, "None", None, cameras, lidar, world_from_ego)


def _below_root(path: Any) -> str:
    """A path such as './data/nuscenes/samples/CAM_FRONT/x.jpg' from ``samples`` on."""
    parts = Path(str(path)).parts
    starts = [index for index, part in enumerate(parts) if part in _FOLDERS]
    return str(Path(*parts[starts[-1] :])) if starts else str(path)
