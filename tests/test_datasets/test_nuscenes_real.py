"""A real key frame of nuScenes by tables and pickle, and a real label file of Occ3D."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from htcl.datasets.image_files import read_image
from htcl.datasets.nuscenes_frames import CAMERAS
from htcl.datasets.nuscenes_infos import read_infos
from htcl.datasets.nuscenes_occupancy import NuScenesOccupancy
from htcl.datasets.nuscenes_tables import NuScenesTables
from htcl.datasets.occ3d_nuscenes import Occ3DNuScenes
from htcl.datasets.occ3d_specification import OCC3D
from htcl.datasets.occupancy_files import read_occ3d
from htcl.errors import InvalidValueError

SCENE = "scene-0061"


@pytest.fixture(scope="module")
def data(shared_dir):
    """Folder of the real data."""
    if not (shared_dir / "data" / "nuscenes_frame").is_dir():
        pytest.skip("needs the real key frame of nuScenes")
    return shared_dir / "data"


@pytest.fixture(scope="module")
def root(data, tmp_path_factory):
    """The frame in nuScenes' own tree, by links."""
    root = tmp_path_factory.mktemp("nuscenes")
    (root / "v1.0-mini").symlink_to(data / "nuscenes_tables" / "v1.0-mini")
    for path in (data / "nuscenes_frame").glob("n015*__*"):
        folder = root / "samples" / path.name.split("__")[1]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / path.name).symlink_to(path)
    return root


@pytest.fixture(scope="module")
def pickled(data):
    """The frame by mmdetection3d's pickle."""
    (path,) = (data / "nuscenes_frame").glob("*.pkl")
    return path


def test_tables_and_pickle_say_the_same(root, pickled):
    """Within the float32 that the pickle was made with."""
    ((table, is_key),) = NuScenesTables(root, "v1.0-mini").moments(SCENE)
    (info,) = read_infos(pickled)
    assert is_key
    assert table.token == info.token
    assert table.time == pytest.approx(info.time, abs=1e-6)
    np.testing.assert_allclose(table.world_from_ego, info.world_from_ego, atol=1e-4)
    for name in CAMERAS:
        one, other = table.cameras[name], info.cameras[name]
        assert (one.token, one.file) == (other.token, other.file)
        assert one.time == pytest.approx(other.time, abs=1e-6)
        np.testing.assert_array_equal(one.intrinsics, other.intrinsics)
        by_table, by_pickle = (
            np.linalg.inv(moment.lidar.world_from_sensor) @ moment.cameras[name].world_from_sensor
            for moment in (table, info)
        )
        np.testing.assert_allclose(by_table, by_pickle, atol=1e-6)


def test_pickle_of_mmdetection3d_is_refused_for_labels(root, pickled):
    with pytest.raises(InvalidValueError, match="names no scene_token or lidar_token"):
        NuScenesOccupancy(str(root), info_file=str(pickled))


def jumps(scan):
    """Points of a ring whose neighbour is at least 15 % and 1 m farther, from 4 m on."""
    distance, angle = np.linalg.norm(scan[:, :2], axis=1), np.arctan2(scan[:, 1], scan[:, 0])
    found = []
    for ring in np.unique(scan[:, 4]):
        points = np.flatnonzero(scan[:, 4] == ring)
        points = points[np.argsort(angle[points])]
        first, second = points[:-1], points[1:]
        near = np.where(distance[first] < distance[second], first, second)
        far = np.maximum(distance[first], distance[second])
        found.append(near[(far > 1.15 * distance[near]) & (far > distance[near] + 1)])
    near = np.concatenate(found)
    return near[distance[near] > 4]


@pytest.mark.parametrize("kind", [NuScenesOccupancy, Occ3DNuScenes])
def test_lidar_lies_where_the_images_say(root, kind):
    """Where the scan jumps in depth, images have upright edges, and not beside.

    That is within 8 of 1600 pixels, two steps of the scan.
    """
    info = kind(str(root), sequences=SCENE, labels=False, num_history=0)[0]
    scan = np.fromfile(info["lidar"], "<f4").reshape(-1, info["lidar_columns"])
    points = np.column_stack([scan[:, :3], np.ones(len(scan))])[jumps(scan)]
    points = points @ info["reference_from_lidar"].T
    shifts = np.arange(-60, 61, 2)
    best = {}
    for camera in info["cameras"]:
        image = ndimage.gaussian_filter(read_image(camera["image"]).mean(axis=2), 1.5)
        edges = np.abs(ndimage.sobel(image, 1))
        edges = np.minimum(edges, np.quantile(edges, 0.98))
        projection = camera["intrinsics"] @ np.linalg.inv(camera["reference_from_camera"])
        place = points @ projection.T
        pixel = place[:, :2] / place[:, 2:3]
        inside = (place[:, 2] > 1) & (pixel >= (61, 0)).all(axis=1)
        inside &= (pixel < (1538, 899)).all(axis=1)
        x, y = np.round(pixel[inside]).astype(int).T
        assert len(x) > 100
        strength = [edges[y, x + shift].mean() for shift in shifts]
        best[camera["name"]] = int(shifts[ndimage.gaussian_filter1d(strength, 2).argmax()])
    assert set(best) == set(CAMERAS)
    assert max(map(abs, best.values())) <= 8, best


def test_real_labels_of_occ3d(data):
    (path,) = (data / "occ3d_labels").rglob("labels.npz")
    labels, masks = read_occ3d(path, OCC3D)
    raw = np.load(path)
    assert (labels == raw["semantics"]).all()
    # By the files themselves: voxels of each class, and what is seen.
    counts = np.bincount(labels.ravel(), minlength=18)
    assert counts.tolist() == [
        169, 82, 0, 974, 1749, 0, 83, 0, 0, 0, 0, 8433, 0, 2610, 1007, 5286, 18699, 600908,
    ]  # fmt: skip
    assert (masks["mask_camera"].sum(), masks["mask_lidar"].sum()) == (43355, 56601)
    # Nothing is seen by a camera that no ray of the lidar reached.
    assert (masks["mask_camera"] & ~masks["mask_lidar"]).sum() == 0
    # In this file the road is the lowest layer, a metre below the ego frame's origin, and the cars
    # on it are less than 3 m high.
    assert set(np.argwhere(labels == 11)[:, 2]) == {0}
    assert np.argwhere(labels == 4)[:, 2].max() * 0.4 < 3
