from __future__ import annotations

import numpy as np
import open3d as o3d
import pytest
from PIL import Image

from htcl.apis.output_files import write_outputs
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.voxel_files import read_voxel_labels
from htcl.errors import InvalidValueError
from htcl.visualization import FrameResult

ROAD, CAR = 9, 1


@pytest.fixture
def labels():
    """A road of one layer with a car on it, 16 x 16 x 8 voxels of 0.8 m."""
    labels = np.zeros((16, 16, 8), np.uint8)
    labels[:, 4:12, 0] = ROAD
    labels[8:11, 5:8, 1:3] = CAR
    return labels


@pytest.fixture
def result(labels):
    return make_result(labels, SEMANTICKITTI)


def make_result(labels, specification):
    intrinsics, pose = np.eye(4), np.eye(4)
    intrinsics[:2, :3] = [[90, 0, 79.5], [0, 90, 23.5]]
    pose[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    return FrameResult(
        prediction=labels,
        images=np.full((1, 48, 160, 3), 128, np.uint8),
        intrinsics=intrinsics[None],
        reference_from_camera=pose[None],
        voxel_origin=np.array([0.0, -6.4, -2.0]),
        voxel_size=0.8,
        sequence="drive",
        frame="cam.12",
        class_names=specification.class_names,
        palette=specification.colours,
        empty_class=specification.empty_class,
    )


def test_every_format(result, tmp_path):
    written = write_outputs(result, SEMANTICKITTI, tmp_path, ["npz", "label", "ply", "png"])
    assert written == {
        "npz": str(tmp_path / "drive/cam.12.npz"),
        "label": str(tmp_path / "drive/cam.12.label"),
        "ply": str(tmp_path / "drive/cam.12_prediction.ply"),
        "png": str(tmp_path / "drive/cam.12.png"),
    }
    np.testing.assert_array_equal(FrameResult.load(written["npz"]).prediction, result.prediction)
    raw = read_voxel_labels(written["label"], (16, 16, 8))
    assert np.unique(raw).tolist() == [0, 10, 40]
    mesh = o3d.io.read_triangle_mesh(written["ply"])
    low, high = mesh.get_min_bound(), mesh.get_max_bound()
    # The road ends at 12.8 m; smoothing moves corners by a part of a voxel.
    np.testing.assert_allclose(low, [0, -3.2, -2.0], atol=0.5)
    np.testing.assert_allclose(high, [12.8, 3.2, 0.4], atol=0.5)
    assert Image.open(written["png"]).width > 500


def test_an_empty_frame_has_no_surface(result, tmp_path):
    result.prediction = np.zeros_like(result.prediction)
    assert set(write_outputs(result, SEMANTICKITTI, tmp_path, ["label", "ply"])) == {"label"}


def test_label_files_hold_the_raw_ids_of_the_data_set(labels, tmp_path):
    merged = SEMANTICKITTI.merged({"vehicle": ["truck", "car"]})
    written = write_outputs(make_result(labels, merged), merged, tmp_path, ["label"])
    raw = read_voxel_labels(written["label"], (16, 16, 8))
    assert raw[8, 5, 1] == merged.raw_ids[CAR] and raw[0, 4, 0] == merged.raw_ids[ROAD]


def test_a_picture_that_is_drawn_already(result, tmp_path):
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    written = write_outputs(result, SEMANTICKITTI, tmp_path, ["png"], picture)
    np.testing.assert_array_equal(np.asarray(Image.open(written["png"])), picture)


def test_unknown_format(result, tmp_path):
    with pytest.raises(InvalidValueError, match="unknown formats"):
        write_outputs(result, SEMANTICKITTI, tmp_path, ["obj"])
