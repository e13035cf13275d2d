"""The files of a sequence tell of one and the same street."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mini_kitti import MiniKittiSettings
from mini_kitti.assets.raw_labels import MovingLabel, RawLabel
from mini_kitti.sensors.rendering import render_image, render_labels
from mini_kitti.sensors.view import View
from mini_kitti.writer.sequence_writer import SequenceWriter

HEIGHT, WIDTH = 96, 312


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory, settings: MiniKittiSettings) -> SequenceWriter:
    """The scene, rig and drive of sequence 08, to compare its files with."""
    assert settings.image_size == (HEIGHT, WIDTH)
    return SequenceWriter(tmp_path_factory.mktemp("unused"), "08", settings, lambda steps: None)


@pytest.fixture(scope="module")
def calibration(root: Path) -> dict[str, np.ndarray]:
    lines = (root / "sequences/08/calib.txt").read_text().strip().splitlines()
    return {
        line.split(":")[0]: np.array(line.split(":")[1].split(), dtype=float).reshape(3, 4)
        for line in lines
    }


def read_scan(root: Path, frame: int) -> tuple[np.ndarray, np.ndarray]:
    folder = root / "sequences/08"
    points = np.fromfile(folder / f"velodyne/{frame:06d}.bin", "<f4").reshape(-1, 4)
    return points, np.fromfile(folder / f"labels/{frame:06d}.label", "<u4")


def to_camera0(points: np.ndarray, calibration: dict[str, np.ndarray]) -> np.ndarray:
    return points[:, :3] @ calibration["Tr"][:, :3].T + calibration["Tr"][:, 3]


def project(points: np.ndarray, projection: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 2) as u, v and depths (N,) of camera-0 points."""
    homogeneous = np.column_stack([points, np.ones(len(points))]) @ projection.T
    return homogeneous[:, :2] / homogeneous[:, 2:], homogeneous[:, 2]


def inside(pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
    limit = np.array([WIDTH, HEIGHT]) - 0.5
    return (depth > 0.5) & ((pixels > -0.5) & (pixels < limit)).all(axis=1)


def test_calibration_is_like_kitti(calibration: dict[str, np.ndarray]) -> None:
    assert list(calibration) == ["P0", "P1", "P2", "P3", "Tr"]
    focal = calibration["P2"][0, 0]
    assert focal / WIDTH == pytest.approx(718.856 / 1241, rel=0.02)
    baseline = (calibration["P2"][0, 3] - calibration["P3"][0, 3]) / focal
    assert baseline == pytest.approx(0.54, abs=0.01)
    assert calibration["P2"][0, 3] > 0 > calibration["P3"][0, 3]
    rotation = calibration["Tr"][:, :3]
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    # Lidar front is camera z, left is camera -x, up is camera -y; 0.08 m above, 0.27 m behind.
    assert rotation[2, 0] > 0.999
    assert rotation[0, 1] < -0.999
    assert rotation[1, 2] < -0.999
    assert np.allclose(calibration["Tr"][:, 3], (0.0, -0.08, -0.27), atol=0.02)


def test_lidar_points_hit_pixels_of_their_class(
    root: Path, writer: SequenceWriter, calibration: dict[str, np.ndarray]
) -> None:
    poses = writer.poses(np.arange(3))
    for frame in (0, 2):
        writer.scene.move_to(0.1 * frame)
        labels, depth = render_labels(writer.scene, View(writer.rig, "P2", poses[frame]))
        points, point_labels = read_scan(root, frame)
        pixels, point_depth = project(to_camera0(points, calibration), calibration["P2"])
        seen = inside(pixels, point_depth)
        column, row = np.rint(pixels[seen]).astype(int).T
        # The lidar looks over some obstacles that hide a point from the camera.
        near = np.abs(depth[row, column] - point_depth[seen]) < 0.3
        assert near.mean() > 0.8
        assert (labels[row, column] == point_labels[seen])[near].mean() > 0.95


def test_left_depth_predicts_right_pixels(root: Path, writer: SequenceWriter) -> None:
    writer.scene.move_to(0.0)
    pose = writer.poses(np.arange(1))[0]
    left_view = View(writer.rig, "P2", pose)
    labels, depth = render_labels(writer.scene, left_view)
    _, right_depth = render_labels(writer.scene, View(writer.rig, "P3", pose))
    left, right = (
        cv2.imread(str(root / f"sequences/08/{name}/000000.png")).astype(np.float32)
        for name in ("image_2", "image_3")
    )
    solid = labels > 0
    pixels = left_view.all_pixels()[solid.ravel()]
    rays = writer.rig.pixel_directions("P2", pixels)
    _, position = writer.rig.camera("P2")
    target, target_depth = project(
        rays * depth[solid][:, None] + position, writer.rig.projections["P3"]
    )
    seen = inside(target, target_depth) & (target[:, 0] > 1)
    # Rectified cameras: rows agree to a fraction of a pixel.
    assert np.abs(target[seen, 1] - pixels[seen, 1]).max() < 1.0
    u, v = target[seen].astype(np.float32).T
    found = cv2.remap(right, u[None], v[None], cv2.INTER_LINEAR)[0]
    hit = cv2.remap(right_depth, u[None], v[None], cv2.INTER_NEAREST)[0]
    visible = np.abs(hit - target_depth[seen]) < 0.05 * target_depth[seen]
    error = np.abs(found - left[solid][seen]).mean(axis=1)[visible]
    assert visible.mean() > 0.85
    assert np.median(error) < 4.0
    # Without the disparity the pixels do not fit: the street has texture that stereo can use.
    unshifted = np.abs(right - left).mean(axis=2)[solid]
    assert np.median(error) < 0.5 * np.median(unshifted)


def test_poses_carry_scans_from_frame_to_frame(
    root: Path, writer: SequenceWriter, calibration: dict[str, np.ndarray]
) -> None:
    rows = np.loadtxt(root / "sequences/08/poses.txt").reshape(-1, 3, 4)
    assert np.allclose(rows[0], np.eye(4)[:3], atol=1e-8)
    # The car drives forward (camera z), about a metre a frame.
    assert 1.9 < rows[2][2, 3] < 3.2
    points, _ = read_scan(root, 2)
    moved = to_camera0(points, calibration) @ rows[2][:, :3].T + rows[2][:, 3]
    pixels, point_depth = project(moved, calibration["P2"])
    _, depth = render_labels(writer.scene, View(writer.rig, "P2", writer.poses(np.arange(1))[0]))
    seen = inside(pixels, point_depth)
    column, row = np.rint(pixels[seen]).astype(int).T
    difference = np.abs(depth[row, column] - point_depth[seen])
    assert np.median(difference) < 0.1


def test_voxels_agree_with_scans(root: Path) -> None:
    points, labels = read_scan(root, 2)
    distance = np.linalg.norm(points[:, :3], axis=1)
    index = np.floor((points[:, :3] - np.float32((0.0, -25.6, -2.0))) / np.float32(0.2)).astype(int)
    used = (distance >= 2.5) & (distance <= 50) & (labels > 0)
    used &= ((index >= 0) & (index < (256, 256, 32))).all(axis=1)
    expected = np.zeros((256, 256, 32), dtype=bool)
    expected[tuple(index[used].T)] = True

    def mask(suffix: str) -> np.ndarray:
        packed = np.fromfile(root / f"sequences/08/voxels/000002.{suffix}", np.uint8)
        return np.unpackbits(packed).reshape(256, 256, 32).astype(bool)

    assert (mask("bin") == expected).all()
    label = np.fromfile(root / "sequences/08/voxels/000002.label", "<u2").reshape(256, 256, 32)
    assert set(np.unique(label)) <= {0, *map(int, RawLabel), *map(int, MovingLabel)}
    # Future scans fill what the current one does not see, up to the far end of the grid.
    assert (label > 0).sum() > 5 * expected.sum()
    road = np.isin(label, (RawLabel.ROAD, RawLabel.LANE_MARKING)).any(axis=2)
    assert road[:100].any(axis=1).mean() > 0.95
    assert road[200:].any()
    assert not (label > 0)[mask("invalid")].any()


def test_both_cameras_see_what_moves_at_the_same_moment(root: Path, writer: SequenceWriter) -> None:
    frame, streams = 2, {"image_2": ("P2", 10), "image_3": ("P3", 11)}
    pose = writer.poses(np.array([frame]))[0]
    for folder, (camera, stream) in streams.items():
        stored = cv2.imread(str(root / f"sequences/08/{folder}/{frame:06d}.png"))[..., ::-1]
        for time, equal in ((0.2, True), (0.1, False)):
            writer.scene.move_to(time)
            rng = np.random.default_rng([3, 8, stream, frame])
            light = writer.light.with_moving(writer.scene)
            image = render_image(writer.scene, light, View(writer.rig, camera, pose), rng)
            assert (image == stored).all() == equal


def test_lidar_finds_movers_where_their_path_is(root: Path, writer: SequenceWriter) -> None:
    """Points with the id of a moving car lie within a car's length of one, at each frame's time."""
    cars = [mover for mover in writer.scene.movers if mover.label == MovingLabel.CAR]
    poses = writer.poses(np.arange(3))
    for frame in range(3):
        points, labels = read_scan(root, frame)
        assert (labels >= 252).sum() > 20
        world_from_lidar = poses[frame] @ writer.rig.camera_from_lidar
        world = points[:, :3] @ world_from_lidar[:3, :3].T + world_from_lidar[:3, 3]
        where = np.array([writer.scene.road.world(*car.path.at(0.1 * frame)) for car in cars])
        found = world[labels == MovingLabel.CAR]
        distance = np.linalg.norm(found[:, None] - where, axis=2)
        assert distance.min(axis=1).max() < 3.2
        # The nearest one moves on: without its motion in two frames its points would not fit.
        nearest = distance.min(axis=0).argmin()
        assert cars[nearest].speed * 0.2 > 1.4


def test_what_moves_leaves_a_trace_in_the_voxels(root: Path, writer: SequenceWriter) -> None:
    folder = root / "sequences/08/voxels"
    label = np.fromfile(folder / "000000.label", "<u2").reshape(256, 256, 32)
    trace = (label == MovingLabel.CAR).any(axis=(1, 2))
    # A car is at most 5.2 m long, or 26 voxels; the way of the car ahead is longer.
    assert trace.sum() > 2 * 26


def test_shadows_go_with_what_casts_them(writer: SequenceWriter) -> None:
    lights = []
    for time in (0.0, 1.0):
        writer.scene.move_to(time)
        lights.append(writer.light.with_moving(writer.scene).heights)
    assert all((light >= writer.light.heights).all() for light in lights)
    covered = [light > writer.light.heights for light in lights]
    # Each mover covers at least 0.1 m2; some metres away a second later.
    assert min(mask.sum() for mask in covered) * 0.12**2 > 0.1 * len(writer.scene.movers)
    assert (covered[0] & covered[1]).sum() < 0.9 * covered[0].sum()
