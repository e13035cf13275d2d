from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from htcl.datasets.calibration import KittiCalibration, lidar_poses, read_poses
from htcl.datasets.scan_files import read_point_labels, read_scan
from htcl.datasets.voxel_files import read_voxel_labels, read_voxel_mask
from htcl.datasets.voxelizer import LidarScan, majority_labels, visible_voxels, voxelize
from htcl.geometry import VoxelGrid

GRID = VoxelGrid(origin=(0.0, -4.0, -1.0), voxel_size=1.0, shape=(8, 8, 2))


def scan(points: list[tuple], labels: list[int], pose: np.ndarray | None = None) -> LidarScan:
    return LidarScan(
        np.array(points, dtype=np.float32).reshape(-1, 3),
        np.array(labels, dtype=np.uint32),
        np.eye(4) if pose is None else pose,
    )


def forward(metres: float) -> np.ndarray:
    pose = np.eye(4)
    pose[0, 3] = metres
    return pose


def test_majority_and_ties():
    voxels = [0, 0, 0, 1, 1, 2, 2, 2, 2, 5]
    labels = [10, 20, 10, 70, 40, 0, 10, 10, 0, 259]
    result = majority_labels(np.array(voxels) * 65536 + labels, GRID).ravel()
    # Voxel 0: 10 wins 2:1. Voxel 1: a tie, the smaller id. Voxel 2: a tie with "unlabelled".
    assert result[:6].tolist() == [10, 40, 0, 0, 0, 259]
    assert result.dtype == np.uint16 and not result[6:].any()


def test_range_is_measured_from_the_own_sensor():
    near_then = scan([(2.0, 0.5, 0.5)], [10], forward(4.0))
    now = scan([(6.0, 0.5, 0.5), (0.2, 0.5, 0.5)], [20, 30])
    frame = voxelize([now, near_then], np.eye(4), 0, GRID, min_range=2.5, max_range=50)
    # Both far points are voxel (6, 4, 1), but the later scan saw it from 2 m only.
    assert frame.label[6, 4, 1] == 20 and np.count_nonzero(frame.label) == 1
    frame = voxelize([now, near_then], np.eye(4), 0, GRID, min_range=1.0, car_box=None)
    assert frame.label[6, 4, 1] == 10


def test_points_of_the_car_itself_never_count():
    """2.6 m above the lidar and 2.9 m ahead they are in range; 3.1 m ahead they are of the road."""
    now = scan([(2.9, 0.5, 0.5), (3.1, -1.5, 0.5), (1.5, 2.5, 0.5)], [10, 20, 30])
    frame = voxelize([now], np.eye(4), 0, GRID)
    assert np.argwhere(frame.bin).tolist() == [[1, 6, 1], [3, 2, 1]]
    frame = voxelize([now], np.eye(4), 0, GRID, car_box=None)
    assert np.argwhere(frame.bin).tolist() == [[1, 6, 1], [2, 4, 1], [3, 2, 1]]


def test_an_unlabelled_point_is_an_obstacle():
    """It hides what is behind it, and its voxel is occluded and not invalid."""
    now = scan([(3.5, 0.5, 0.5), (6.5, -2.5, 0.5)], [0, 40])
    frame = voxelize([now], np.eye(4), 0, GRID)
    assert np.argwhere(frame.bin).tolist() == [[6, 1, 1]] and frame.label[3, 4, 1] == 0
    assert frame.occluded[3, 4, 1] and not frame.invalid[3, 4, 1]
    assert frame.invalid[7, 4, 1]


def test_instance_bits_are_ignored():
    points = scan([(6.5, 0.5, 0.5)], [(77 << 16) | 252])
    assert voxelize([points], np.eye(4), 0, GRID).label[6, 4, 1] == 252


def test_shadow_of_a_wall_and_a_second_view():
    wall = [(3.5, y + 0.5, z + 0.5) for y in range(-4, 4) for z in (-1, 0)]
    first = scan(wall, [50] * len(wall))
    frame = voxelize([first], first.pose, 0, GRID)
    assert frame.bin[3].all() and frame.bin.sum() == 16
    # The wall and everything behind it is occluded; never seen is only what lies behind.
    expected = np.zeros(GRID.shape, dtype=bool)
    expected[3:] = True
    np.testing.assert_array_equal(frame.occluded, expected)
    expected[3] = False
    np.testing.assert_array_equal(frame.invalid, expected)
    # A later scan from behind the wall sees the rest; what is occluded now does not change.
    second = scan([], [], forward(6.0))
    both = voxelize([first, second], first.pose, 0, GRID)
    assert not both.invalid.any()
    np.testing.assert_array_equal(both.occluded, frame.occluded)
    # With every second scan as a viewpoint only the current one counts.
    strided = voxelize([first, second], first.pose, 0, GRID, view_stride=2)
    np.testing.assert_array_equal(strided.invalid, frame.invalid)


def test_moving_objects_can_be_dropped_from_other_scans():
    now = scan([(5.5, 0.5, 0.5)], [252])
    later = scan([(5.5, 2.5, 0.5)], [252])
    assert np.count_nonzero(voxelize([now, later], np.eye(4), 0, GRID).label) == 2
    clean = voxelize([now, later], np.eye(4), 0, GRID, drop_moving=True)
    assert np.argwhere(clean.label).tolist() == [[5, 4, 1]]


def test_bad_arguments():
    with pytest.raises(ValueError, match="current_index 1 is outside the 1"):
        voxelize([scan([], [])], np.eye(4), 1, GRID)
    with pytest.raises(ValueError, match="scan 0: 1 points but 2 labels"):
        voxelize([scan([(1, 1, 1)], [1, 2])], np.eye(4), 0, GRID)
    with pytest.raises(ValueError, match="view_stride"):
        voxelize([scan([], [])], np.eye(4), 0, GRID, view_stride=0)


def dense_sampling_visibility(occupied: np.ndarray, sensor: np.ndarray) -> np.ndarray:
    """Line of sight to voxel centres by fine sampling, written without any grid stepping."""
    result = np.zeros(occupied.shape, dtype=bool)
    for target in np.ndindex(occupied.shape):
        line = sensor + np.linspace(0, 1, 400)[:, None] * (np.array(target) + 0.5 - sensor)
        cells = np.floor(line).astype(int)
        cells = cells[((cells >= 0) & (cells < occupied.shape)).all(axis=1)]
        before = cells[(cells != target).any(axis=1)]
        result[target] = not occupied[tuple(before.T)].any()
    return result


@pytest.mark.parametrize("sensor", [(0.3, 4.1, 1.2), (-3.7, 2.2, 0.8), (4.4, 11.3, 5.1)])
def test_seen_contains_the_line_of_sight_to_every_centre(sensor: tuple):
    rng = np.random.default_rng(1)
    occupied = rng.random((9, 8, 4)) < 0.08
    seen = visible_voxels(occupied, np.array(sensor))
    by_centre = dense_sampling_visibility(occupied, np.array(sensor))
    # A ray to a boundary voxel crosses neighbours of the centre line: a few more or fewer are seen.
    assert (seen == by_centre).mean() > 0.9
    assert not (by_centre & ~seen & occupied).sum() > occupied.sum() * 0.1


def test_everything_is_seen_in_an_empty_grid():
    for sensor in ((0.0, 128.0, 10.0), (-40.3, 3.0, 10.0), (300.5, 128.0, 10.0), (100.2, 50.1, 90)):
        assert visible_voxels(np.zeros((256, 256, 32), dtype=bool), np.array(sensor)).all()


def load_scans(root: Path, sequence: str, frames: list[int]) -> list[LidarScan]:
    folder = root / "dataset/sequences" / sequence
    calibration = KittiCalibration.from_file(folder / "calib.txt")
    poses = lidar_poses(read_poses(folder / "poses.txt"), calibration)
    scans = []
    for frame in frames:
        points = read_scan(folder / f"velodyne/{frame:06d}.bin")
        labels = read_point_labels(folder / f"labels/{frame:06d}.label", len(points))
        scans.append(LidarScan(points, labels, poses[frame]))
    return scans


@pytest.mark.parametrize(
    ("sequence", "frame", "count"),
    [("00", 0, 11677), ("00", 5, 11844), ("08", 0, 12866), ("08", 5, 13783)],
)
def test_bin_equals_the_official_file(real_kitti: Path, sequence: str, frame: int, count: int):
    (scan,) = load_scans(real_kitti, sequence, [frame])
    path = real_kitti / f"dataset/sequences/{sequence}/voxels/{frame:06d}.bin"
    official = read_voxel_mask(path)
    assert official.sum() == count
    ours = voxelize([scan], scan.pose, 0).bin
    np.testing.assert_array_equal(ours, official)


def test_no_voxel_that_a_point_hit_is_invalid(real_kitti: Path):
    """As in the released masks: hit voxels are occluded and not invalid, labelled or not."""
    (scan,) = load_scans(real_kitti, "00", [0])
    frame = voxelize([scan], scan.pose, 0)
    points = scan.points[:, :3].astype(np.float64)
    distance = np.linalg.norm(points, axis=1)
    x, y, _ = points.T
    used = points[(distance >= 2.5) & (distance <= 70) & ~((x > -2) & (x < 3) & (abs(y) < 2))]
    index = np.floor((used - (0, -25.6, -2)) / 0.2 - 1e-6).astype(int)
    hit = np.zeros(frame.bin.shape, dtype=bool)
    hit[tuple(index[((index >= 0) & (index < hit.shape)).all(axis=1)].T)] = True
    stem = real_kitti / "dataset/sequences/00/voxels/000000"
    official = read_voxel_mask(stem.with_suffix(".occluded"))
    assert (hit & ~official).sum() <= 0.001 * hit.sum()
    assert (hit & ~frame.occluded).sum() <= 0.001 * hit.sum()
    assert (hit & frame.invalid).sum() <= 0.001 * hit.sum()


def test_accumulated_frame_against_the_real_masks(real_kitti: Path):
    scans = load_scans(real_kitti, "00", list(range(10)))
    # The label file beside the official masks was made from these scans with the car's points.
    frame = voxelize(scans, scans[0].pose, 0, max_range=50.0, car_box=None)
    stem = real_kitti / "dataset/sequences/00/voxels/000000"
    invalid = read_voxel_mask(stem.with_suffix(".invalid"))
    occluded = read_voxel_mask(stem.with_suffix(".occluded"))
    np.testing.assert_array_equal(frame.label, read_voxel_labels(stem.with_suffix(".label")))
    assert not (frame.bin & ~frame.occluded).any() and not (frame.bin & frame.invalid).any()
    assert not (frame.invalid & ~frame.occluded).any()
    # Ten of about seventy scans: what they hide is hidden in the real mask too (99.8 %), but the
    # real one knows more obstacles.
    assert (occluded & frame.occluded).sum() / frame.occluded.sum() > 0.995
    assert (occluded & frame.occluded).sum() / occluded.sum() > 0.6
    # What ten scans saw, the real mask calls seen too (96 %).
    assert (~frame.invalid & ~invalid).sum() / (~frame.invalid).sum() > 0.95
