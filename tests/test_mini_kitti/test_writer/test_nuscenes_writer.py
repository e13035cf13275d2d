"""Streets in nuScenes' layout: tables that the development kit reads, labels where things are."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch

from htcl.datasets.nuscenes_frames import CAMERAS
from htcl.datasets.nuscenes_occupancy import NuScenesOccupancy
from htcl.datasets.nuscenes_tables import NuScenesTables
from htcl.datasets.occ3d_nuscenes import Occ3DNuScenes
from htcl.errors import InvalidValueError
from mini_kitti import MiniKittiSettings, make_mini_kitti
from mini_kitti.writer.nuscenes_writer import NUSCENES_VERSION

SETTINGS = MiniKittiSettings(
    frames=6, image_size=(36, 64), lidar_azimuths=60, traffic=0.0, layout="nuscenes"
)


def test_scenes_and_splits(surround_streets):
    tables = NuScenesTables(surround_streets, NUSCENES_VERSION)
    assert list(tables.scenes) == ["scene-0000", "scene-0008"]
    splits = json.loads((surround_streets / NUSCENES_VERSION / "splits.json").read_text())
    assert splits == {"train": ["scene-0000"], "val": ["scene-0008"], "test": []}
    for scene in tables.scenes:
        (first, _), (second, _) = tables.moments(scene)
        assert second.time - first.time == pytest.approx(0.5)
        # Cameras fire before the scan, each at its own time.
        early = [first.time - first.cameras[name].time for name in CAMERAS]
        np.testing.assert_allclose(early, (0.043, 0.035, 0.028, 0.001, 0.01, 0.02), atol=1e-5)
        # The car drives 10 to 15 m a second, forwards.
        way = np.linalg.inv(first.world_from_ego) @ second.world_from_ego
        assert 4.9 < way[0, 3] < 7.6
        assert np.abs(way[1:3, 3]).max() < 1


def test_development_kit_reads_the_tables(surround_streets):
    from nuscenes import NuScenes
    from pyquaternion import Quaternion

    kit = NuScenes(NUSCENES_VERSION, str(surround_streets), verbose=False)
    assert [scene["nbr_samples"] for scene in kit.scene] == [2, 2]
    sample = kit.get("sample", kit.get("sample", kit.scene[0]["first_sample_token"])["next"])
    assert sample["token"] == kit.scene[0]["last_sample_token"]
    data = kit.get("sample_data", sample["data"]["CAM_BACK_LEFT"])
    placed = kit.get("calibrated_sensor", data["calibrated_sensor_token"])
    pose = kit.get("ego_pose", data["ego_pose_token"])
    (_, (moment, _)) = NuScenesTables(surround_streets, NUSCENES_VERSION).moments("scene-0000")
    expected = np.eye(4)
    for part in (placed, pose):
        motion = Quaternion(part["rotation"]).transformation_matrix
        motion[:3, 3] = part["translation"]
        expected = motion @ expected
    found = moment.cameras["CAM_BACK_LEFT"].world_from_sensor
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_road_lies_below_the_car(surround_streets):
    """In the ego frame the road is at 0, seen from the lidar it is 1.84 m below."""
    pipeline = [{"type": "LoadVoxelLabels"}, {"type": "PackInputs"}]
    steps = [{"type": "LoadImages", "input_size": (32, 64)}, *pipeline]
    for kind, depth in ((NuScenesOccupancy, 1.84), (Occ3DNuScenes, 0.0)):
        dataset = kind(str(surround_streets), num_history=0, pipeline=steps)
        truth = dataset[0]["data_samples"].gt_voxels
        grid = dataset.specification.grid
        x, y, z = (truth.semantics.numpy() == 11).nonzero()
        near = np.hypot(grid.centres(0)[x], grid.centres(1)[y]) < 8
        assert near.sum() > 30
        assert np.median(grid.centres(2)[z[near]]) == pytest.approx(-depth, abs=0.21)


def test_cameras_see_what_their_mask_says(surround_streets):
    """All that cameras see is seen by the lidar too, and projects into an image."""
    pipeline = [
        {"type": "LoadImages", "input_size": (36, 64)},
        {"type": "LoadVoxelLabels"},
        {"type": "PackInputs"},
    ]
    sample = Occ3DNuScenes(str(surround_streets), num_history=0, pipeline=pipeline)[0]
    truth, cameras = sample["data_samples"].gt_voxels, sample["inputs"]["cameras"]
    seen = truth.mask_camera.numpy()
    assert truth.mask_lidar.numpy()[seen].all()
    assert 0.01 < seen.mean() < 0.6
    grid = sample["data_samples"].specification.grid
    index = np.argwhere(seen)
    points = np.stack([grid.centres(axis)[index[:, axis]] for axis in range(3)], axis=1)
    inside = np.zeros(len(points), dtype=bool)
    pixels, depth = cameras.project(torch.from_numpy(points).float())
    for pixel, distance in zip(pixels.numpy(), depth.numpy(), strict=True):
        # The car moves half a metre between the cameras' moments and the scan.
        inside |= (distance > 0) & (pixel > -6).all(1) & (pixel < (70, 42)).all(1)
    assert inside.mean() > 0.98


@pytest.mark.slow
def test_bytes_are_the_same_again(surround_streets, tmp_path):
    make_mini_kitti(tmp_path, SETTINGS, ["00"])
    again = {path.relative_to(tmp_path): path for path in tmp_path.rglob("*") if path.is_file()}
    files = [p for p in again if p.parts[0] in ("samples", "gts", "nuScenes-Occupancy")]
    assert len(files) == 2 * 7 + 2 * 2 + 2
    for name in files:
        digests = [
            hashlib.sha256((root / name).read_bytes()).digest()
            for root in (surround_streets, tmp_path)
        ]
        assert digests[0] == digests[1], name


def test_finished_scenes_are_kept_and_others_refused(surround_streets):
    assert make_mini_kitti(surround_streets, SETTINGS, ["00", "08"]) == []
    other = MiniKittiSettings(frames=6, image_size=(36, 64), lidar_azimuths=61, layout="nuscenes")
    with pytest.raises(InvalidValueError, match="was made with other settings"):
        make_mini_kitti(surround_streets, other, ["00"])
    with pytest.raises(InvalidValueError, match="lean is for the layout semantickitti"):
        MiniKittiSettings(layout="nuscenes", lean=True)
