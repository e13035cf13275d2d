"""Streets in the layout of SSCBench-KITTI-360: files, ids, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from htcl.datasets.kitti360 import KITTI360SSC
from htcl.datasets.kitti360_layout import drive_name
from htcl.datasets.transforms.load_voxel_labels import LoadVoxelLabels
from htcl.errors import InvalidValueError
from mini_kitti import KITTI360_SEQUENCES, MiniKittiSettings, make_mini_kitti
from mini_kitti.sensors.rig import make_kitti360_rig

SMALL = MiniKittiSettings(
    layout="kitti360", frames=2, image_size=(32, 120), lidar_azimuths=64, label_every=2
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mini360")
    assert make_mini_kitti(folder, SMALL, ["06"]) == ["06"]
    return folder


def test_layout(root: Path) -> None:
    names = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    drive = f"data_2d_raw/{drive_name('06')}"
    expected = {f"{drive}/image_0{k}/data_rect/00000{n}.png" for k in range(2) for n in range(2)}
    expected |= {f"{drive}/voxels/000000.{suffix}" for suffix in ("bin", "label", "invalid")}
    expected |= {f"{drive}/{name}" for name in ("cam0_to_world.txt", "SYNTHETIC.json")}
    expected |= {f"{drive}/velodyne/000000.bin", "README.md"}
    expected |= {"calibration/perspective.txt", "calibration/calib_cam_to_velo.txt"}
    assert names == expected
    assert (root / drive / "voxels/000000.invalid").stat().st_size == 256 * 256 * 32
    assert json.loads((root / drive / "SYNTHETIC.json").read_text())["layout"] == "kitti360"
    assert "SYNTHETIC" in (root / "README.md").read_text()


def test_data_set_reads_it(root: Path) -> None:
    dataset = KITTI360SSC(
        data_root=str(root), split="val", pipeline=[LoadVoxelLabels()], test_mode=True
    )
    assert len(dataset) == 1
    # Road, building and free space; no raw id of the street is unknown to the benchmark.
    assert {0, 7, 11, 255} <= set(np.unique(dataset[0]["voxel_labels"]))
    (camera,) = dataset.get_data_info(0)["cameras"]
    rig = make_kitti360_rig(SMALL.image_size, 1.5)
    np.testing.assert_allclose(camera["intrinsics"][:3], rig.projections["P0"])
    np.testing.assert_allclose(
        camera["reference_from_camera"] @ rig.camera_from_lidar, np.eye(4), atol=1e-9
    )
    # 0.594 m, as far as the pixels of KITTI-360's calibration are scaled.
    assert camera["focal_baseline"] == pytest.approx(328.3187 * 120 / 1408, rel=1e-3)


def test_finished_drives_are_kept_and_others_refused(root: Path) -> None:
    assert make_mini_kitti(root, SMALL, ["06"]) == []
    with pytest.raises(InvalidValueError, match=r"perspective\.txt is of other images"):
        make_mini_kitti(root, MiniKittiSettings(layout="kitti360"), ["07"])
    with pytest.raises(InvalidValueError, match="sequence '08' is no drive of KITTI-360"):
        make_mini_kitti(root, SMALL, ["08"])
    assert KITTI360_SEQUENCES == ("00", "02", "03", "04", "05", "06", "07", "09", "10")


def test_settings() -> None:
    """The record of the layout that was there first is as it was."""
    assert "layout" not in MiniKittiSettings().as_json("00")
    with pytest.raises(InvalidValueError, match="lean is for the layout semantickitti"):
        MiniKittiSettings(layout="kitti360", lean=True)
    with pytest.raises(InvalidValueError, match="layout='waymo' is unknown"):
        MiniKittiSettings(layout="waymo")


def test_field_of_view_is_kitti360s() -> None:
    projection = make_kitti360_rig((376, 1408), 1.5).projections
    left = [552.554261, 0, 682.049453, 0, 0, 552.554261, 238.769549, 0, 0, 0, 1, 0]
    np.testing.assert_allclose(projection["P0"].ravel(), left, atol=2e-3)
    assert projection["P1"][0, 3] == pytest.approx(-328.318735, rel=1e-3)
