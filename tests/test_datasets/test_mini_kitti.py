"""The mini data set: layout, reproducibility, and geometry that agrees between all its files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from htcl.datasets.mini import DEFAULT_SEQUENCES, MiniKittiSettings, make_mini_kitti
from htcl.datasets.mini.camera import Camera
from htcl.datasets.mini.raw_labels import RawLabel
from htcl.datasets.mini.rendering import render_labels
from htcl.datasets.mini.scene import build_scene
from htcl.datasets.mini.sequence_writer import SequenceWriter
from htcl.datasets.mini.styles import class_plan, style_of

SETTINGS = MiniKittiSettings(
    seed=3, frames=3, image_size=(96, 312), lidar_azimuths=180, voxel_stride=2
)
HEIGHT, WIDTH = SETTINGS.image_size


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with a labelled and a test sequence."""
    folder = tmp_path_factory.mktemp("mini")
    assert make_mini_kitti(folder, SETTINGS, ["08", "11"], jobs=1) == ["08", "11"]
    return folder


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> SequenceWriter:
    """The scene, rig and drive of sequence 08, to compare its files with."""
    return SequenceWriter(tmp_path_factory.mktemp("unused"), "08", SETTINGS, lambda steps: None)


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


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_layout_is_that_of_semantickitti(root: Path) -> None:
    folder = root / "sequences/08"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    expected = {"calib.txt", "poses.txt", "times.txt", "SYNTHETIC.json"}
    for frame in range(3):
        expected |= {f"image_2/{frame:06d}.png", f"image_3/{frame:06d}.png"}
        expected |= {f"velodyne/{frame:06d}.bin", f"labels/{frame:06d}.label"}
    for frame in (0, 2):
        suffixes = ("bin", "label", "invalid", "occluded")
        expected |= {f"voxels/{frame:06d}.{suffix}" for suffix in suffixes}
    assert names == expected
    assert (folder / "voxels/000000.label").stat().st_size == 256 * 256 * 32 * 2
    assert (folder / "voxels/000000.invalid").stat().st_size == 256 * 256 * 32 // 8
    assert cv2.imread(str(folder / "image_2/000000.png")).shape == (HEIGHT, WIDTH, 3)
    assert len((folder / "times.txt").read_text().splitlines()) == 3
    assert np.loadtxt(folder / "poses.txt").shape == (3, 12)
    assert "SYNTHETIC" in (root / "README.md").read_text()
    assert json.loads((folder / "SYNTHETIC.json").read_text())["synthetic"] is True


def test_test_sequence_has_no_labels(root: Path) -> None:
    folder = root / "sequences/11"
    assert not (folder / "labels").exists()
    assert {path.suffix for path in (folder / "voxels").iterdir()} == {".bin"}


def test_same_bytes_whatever_the_number_of_processes(root: Path, tmp_path: Path) -> None:
    make_mini_kitti(tmp_path, SETTINGS, ["08", "11"], jobs=2)
    assert digest(tmp_path) == digest(root)


def test_other_seed_makes_another_street(root: Path, tmp_path: Path) -> None:
    settings = MiniKittiSettings(seed=4, frames=1, image_size=(96, 312), lidar_azimuths=180)
    make_mini_kitti(tmp_path, settings, ["11"])
    ours, theirs = (
        cv2.imread(str(folder / "sequences/11/image_2/000000.png")).astype(float)
        for folder in (root, tmp_path)
    )
    assert np.abs(ours - theirs).mean() > 10


def test_finished_sequences_are_kept(root: Path) -> None:
    before = (root / "sequences/08/calib.txt").stat().st_mtime_ns
    assert make_mini_kitti(root, SETTINGS, ["08"]) == []
    assert (root / "sequences/08/calib.txt").stat().st_mtime_ns == before


def test_leftovers_of_an_interrupted_run_are_replaced(tmp_path: Path) -> None:
    partial = tmp_path / "sequences/.11.partial"
    partial.mkdir(parents=True)
    (partial / "junk").write_text("x")
    settings = MiniKittiSettings(frames=1, image_size=(32, 104), lidar_azimuths=32)
    assert make_mini_kitti(tmp_path, settings, ["11"]) == ["11"]
    assert not partial.exists()
    assert not (tmp_path / "sequences/11/junk").exists()


def test_sequences_of_other_settings_are_refused(root: Path) -> None:
    with pytest.raises(FileExistsError, match="other settings"):
        make_mini_kitti(root, MiniKittiSettings(seed=9), ["08"])


def test_real_data_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "sequences/00").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="not made by this program"):
        make_mini_kitti(tmp_path, SETTINGS, ["00"])
    assert [path.name for path in tmp_path.iterdir()] == ["sequences"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 0}, "frames must be at least 1, found 0"),
        ({"image_size": (8, 100)}, "image_size"),
        ({"lidar_azimuths": 1}, "lidar_azimuths"),
        ({"voxel_stride": 0}, "voxel_stride"),
    ],
)
def test_wrong_settings_are_named(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MiniKittiSettings(**changes)


def test_wrong_sequence_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two digits"):
        make_mini_kitti(tmp_path, SETTINGS, ["8"])


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
        labels, depth = render_labels(writer.scene, Camera(writer.rig, "P2", poses[frame]))
        points, point_labels = read_scan(root, frame)
        pixels, point_depth = project(to_camera0(points, calibration), calibration["P2"])
        seen = inside(pixels, point_depth)
        column, row = np.rint(pixels[seen]).astype(int).T
        # The lidar looks over some obstacles that hide a point from the camera.
        near = np.abs(depth[row, column] - point_depth[seen]) < 0.3
        assert near.mean() > 0.8
        assert (labels[row, column] == point_labels[seen])[near].mean() > 0.95


def test_left_depth_predicts_right_pixels(root: Path, writer: SequenceWriter) -> None:
    pose = writer.poses(np.arange(1))[0]
    left_camera = Camera(writer.rig, "P2", pose)
    labels, depth = render_labels(writer.scene, left_camera)
    _, right_depth = render_labels(writer.scene, Camera(writer.rig, "P3", pose))
    left, right = (
        cv2.imread(str(root / f"sequences/08/{name}/000000.png")).astype(np.float32)
        for name in ("image_2", "image_3")
    )
    solid = labels > 0
    pixels = left_camera.all_pixels()[solid.ravel()]
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
    _, depth = render_labels(writer.scene, Camera(writer.rig, "P2", writer.poses(np.arange(1))[0]))
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
    assert set(np.unique(label)) <= {0, *map(int, RawLabel)}
    # Future scans fill what the current one does not see, up to the far end of the grid.
    assert (label > 0).sum() > 5 * expected.sum()
    road = np.isin(label, (RawLabel.ROAD, RawLabel.LANE_MARKING)).any(axis=2)
    assert road[:100].any(axis=1).mean() > 0.95
    assert road[200:].any()
    assert not (label > 0)[mask("invalid")].any()


def test_every_class_is_planned_for_train_and_validation() -> None:
    moving = {name for name in DEFAULT_SEQUENCES if name != "11"}
    for names in (moving - {"08", "09"}, {"08"}, {"09"}):
        planned = {label for name in names for label in class_plan(style_of(int(name)))}
        assert planned == set(RawLabel)
        assert all(min(class_plan(style_of(int(name))).values()) >= 1 for name in names)


@pytest.mark.parametrize("sequence", [8, 9])
def test_every_class_is_in_the_validation_streets(sequence: int) -> None:
    scene = build_scene(seed=0, sequence=sequence, drive_length=45.0)
    assert set(np.unique(scene.mesh.label)) == set(map(int, RawLabel))
    # No class is only a sliver.
    edges = scene.mesh.corners[:, 1:] - scene.mesh.corners[:, :1]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2
    totals = np.bincount(scene.mesh.label, weights=area)
    assert totals[[int(label) for label in RawLabel]].min() > 1.0


def test_layouts_differ_between_sequences() -> None:
    roads = [build_scene(0, sequence, 20.0).road for sequence in (0, 1, 3)]
    turned = [float(road.heading(80.0)) for road in roads]
    assert np.ptp(turned) > 0.5
