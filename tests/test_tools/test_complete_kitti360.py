"""A copy of the benchmark without right images and poses, completed from a copy of KITTI-360."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import kitti360_tree as tree
import numpy as np
import pytest

from htcl.datasets.kitti360_calibration import read_numbered_poses
from htcl.datasets.kitti360_frames import read_frame_numbers, write_frame_numbers
from htcl.datasets.kitti360_layout import drive_name

DRIVE = drive_name("00")
# KITTI-360's numbers of the twelve frames: the first four have no pose, some later ones neither.
NUMBERS = np.array([4, 5, 6, 8, 9, 10, 40, 41, 42, 43, 44, 47])


@pytest.fixture
def run(load_tool, capfd: pytest.CaptureFixture):
    tool = load_tool("data_converter/complete_kitti360.py")

    def call(*arguments: object) -> tuple[int, str, str]:
        status = tool.main([str(argument) for argument in arguments])
        return status, *capfd.readouterr()

    return call


@pytest.fixture
def copies(writable_kitti360_tree: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The benchmark's copy as it comes, and one of KITTI-360 with what was taken from it."""
    root, original = writable_kitti360_tree, tmp_path / "KITTI-360"
    drive = root / "data_2d_raw" / DRIVE
    theirs = original / "data_2d_raw" / DRIVE
    rng = np.random.default_rng(0)
    for camera in ("image_00", "image_01"):
        (theirs / camera / "data_rect").mkdir(parents=True)
        for number in range(50):
            path = theirs / camera / f"data_rect/{number:010d}.png"
            if number in NUMBERS:
                frame = NUMBERS.tolist().index(number)
                own = drive / camera / f"data_rect/{frame:06d}.png"
                if number % 2:
                    # The same pixels in another file.
                    cv2.imwrite(str(path), cv2.imread(str(own)), [cv2.IMWRITE_PNG_COMPRESSION, 1])
                else:
                    shutil.copy(own, path)
            else:
                cv2.imwrite(str(path), rng.integers(0, 256, (34, 128, 3), dtype=np.uint8))
    scans = original / "data_3d_raw" / DRIVE / "velodyne_points/data"
    scans.mkdir(parents=True)
    for frame in tree.VOXEL_FRAMES:
        shutil.copy(drive / f"velodyne/{frame:06d}.bin", scans / f"{NUMBERS[frame]:010d}.bin")
    (original / "data_poses" / DRIVE).mkdir(parents=True)
    poses = tree.camera_poses(50)
    lines = [f"{n} {tree.text_of(poses[n])}" for n in range(4, 50)]
    (original / "data_poses" / DRIVE / "cam0_to_world.txt").write_text("\n".join(lines))
    shutil.move(root / "calibration", original / "calibration")
    for name in ("image_01", "velodyne"):
        shutil.rmtree(drive / name)
    (drive / "cam0_to_world.txt").unlink()
    return root, original


def tree_of(root: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file() and "voxels" not in path.parts
    }


def check_completed(root: Path) -> None:
    drive = root / "data_2d_raw" / DRIVE
    for frame in range(tree.NUM_FRAMES):
        left, right = (
            cv2.imread(str(drive / camera / f"data_rect/{frame:06d}.png"))
            for camera in ("image_00", "image_01")
        )
        np.testing.assert_array_equal(right, np.roll(left, -3, axis=1))
    numbers, poses = read_numbered_poses(drive / "cam0_to_world.txt")
    np.testing.assert_array_equal(numbers, np.arange(12))
    np.testing.assert_allclose(poses[:, 2, 3], tree.START[2] + NUMBERS)
    np.testing.assert_array_equal(read_frame_numbers(drive / "frame_numbers.txt")["00"], NUMBERS)


@pytest.mark.parametrize("given", [True, False])
def test_by_map_and_by_equal_images(run, copies, tmp_path: Path, given: bool):
    root, original = copies
    frame_map = tmp_path / "map.txt"
    write_frame_numbers(frame_map, "00", NUMBERS)
    # A terminal's line in between, as in the published file.
    frame_map.write_text(f"  3%|#  | 12/400 [00:01<00:33]\n{frame_map.read_text()}")
    arguments = ["--data-root", root, "--original", original, "--lidar", "--jobs", 2]
    arguments += ["--frame-map", frame_map] if given else []
    status, out, err = run(*arguments)
    assert status == 0, err
    assert "drives 00: 15 files added, 0 were there, 0 missing" in out
    check_completed(root)
    scans = sorted(path.name for path in (root / "data_2d_raw" / DRIVE / "velodyne").iterdir())
    assert scans == ["000000.bin", "000005.bin", "000010.bin"]
    assert (root / "calibration/perspective.txt").is_file()
    before = tree_of(root)
    (root / "data_2d_raw" / DRIVE / "image_01/data_rect/000003.png").unlink()
    status, out, err = run(*arguments[:7])
    assert status == 0 and "1 files added, 14 were there" in out
    after = tree_of(root)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {f"data_2d_raw/{DRIVE}/image_01/data_rect/000003.png"}


def test_what_is_missing_is_named_at_the_end(run, copies):
    root, original = copies
    right = original / "data_2d_raw" / DRIVE / "image_01/data_rect/0000000040.png"
    right.unlink()
    shutil.rmtree(original / "data_poses")
    (original / "calibration/calib_cam_to_pose.txt").unlink()
    status, out, err = run("--data-root", root, "--original", original, "--link")
    assert status == 1
    assert "11 files added, 0 were there, 3 missing" in out
    assert err.count("complete_kitti360: ") == 1 and "lacks 3 files or rows" in err
    for name in (str(right), "cam0_to_world.txt (or poses.txt)", "calib_cam_to_pose.txt"):
        assert name in err
    assert (root / "data_2d_raw" / DRIVE / "image_01/data_rect/000005.png").is_symlink()


def test_poses_of_the_imu_and_frames_without_one(run, copies):
    root, original = copies
    folder = original / "data_poses" / DRIVE
    turned = np.eye(4)
    turned[:3, :3] = tree.RECTIFICATION
    poses = tree.camera_poses(50) @ turned @ np.linalg.inv(tree.IMU_FROM_CAMERA)
    rows = [f"{n} {tree.text_of(poses[n][:3])}" for n in range(50)]
    (folder / "cam0_to_world.txt").unlink()
    (folder / "poses.txt").write_text("\n".join(rows[:44]))
    status, _, err = run("--data-root", root, "--original", original)
    assert status == 1
    assert "poses.txt: row of frame 44" in err and "row of frame 47" in err
    (folder / "poses.txt").write_text("\n".join(rows))
    assert run("--data-root", root, "--original", original)[0] == 0
    check_completed(root)


def test_images_without_an_equal_one(run, copies):
    root, original = copies
    (original / "data_2d_raw" / DRIVE / "image_00/data_rect/0000000040.png").unlink()
    status, _, err = run("--data-root", root, "--original", original)
    assert status == 1
    assert "image_00/data_rect/000006.png: no image after 0000000010.png" in err


def test_maps_that_do_not_fit(run, copies, tmp_path: Path):
    root, original = copies
    frame_map = tmp_path / "map.txt"
    arguments = ("--data-root", root, "--original", original, "--frame-map", frame_map)
    write_frame_numbers(frame_map, "00", NUMBERS[:5])
    status, _, err = run(*arguments)
    assert status == 1 and "5 frames of drive 00, but" in err and "has 12 images" in err
    frame_map.write_text(f"{DRIVE} 0000000007.png 000001.png\n")
    status, _, err = run(*arguments)
    assert status == 1 and "line 1: frame 1 of" in err
    frame_map.write_text("nothing\n")
    status, _, err = run(*arguments)
    assert status == 1 and "no line such as" in err


@pytest.mark.parametrize(
    ("drive", "frames", "first", "last", "hole"),
    [
        ("00", 10483, 9, 11467, 305),
        ("02", 11227, 4391, 16223, 35),
        ("03", 988, 4, 1009, 3),
        ("04", 8137, 2897, 11325, 42),
        ("05", 6131, 30, 6541, 61),
        ("06", 9057, 35, 9570, 36),
        ("07", 2664, 2, 2902, 127),
        ("09", 12833, 80, 13838, 332),
        ("10", 2789, 10, 3313, 361),
    ],
)
def test_real_frame_numbers(shared_dir: Path, drive, frames, first, last, hole):
    """The published map, as others counted it: a hole of 361 frames is 36 seconds."""
    numbers = read_frame_numbers(shared_dir / "data/kitti360/frame_numbers.txt.xz")[drive]
    found = (len(numbers), numbers[0], numbers[-1], np.diff(numbers).max())
    assert found == (frames, first, last, hole)
