from __future__ import annotations

import numpy as np
import pytest
import torch
from street_scene import IMAGE, INTRINSICS, LIDAR_FROM_CAMERA, ORIGIN, SIZE, street

from htcl.datasets.labels import CLASS_NAMES
from htcl.visualization import FrameResult, build_frame_result


def test_round_trip(make_result, tmp_path):
    rng = np.random.default_rng(1)
    written = make_result(
        right=rng.integers(0, 255, (*IMAGE, 3), dtype=np.uint8),
        history=rng.integers(0, 255, (3, 24, 80, 3), dtype=np.uint8),
        current_from_frame=np.stack([np.eye(4)] * 4),
        depth_plane=rng.random((12, 40), dtype=np.float32),
        temporal_affinity=rng.random((3, 12, 40), dtype=np.float32),
    )
    path = written.save(tmp_path / "new" / "000005.npz")
    read = FrameResult.load(path)
    for name, value in vars(written).items():
        np.testing.assert_array_equal(getattr(read, name), value, err_msg=name)
    assert read.class_names == CLASS_NAMES
    assert read.name == "08/000005"
    assert not list(path.parent.glob("*.part"))
    # The file is open to anyone: plain numpy reads it.
    with np.load(path, allow_pickle=False) as archive:
        assert archive["prediction"].dtype == np.uint8
        assert str(archive["sequence"]) == "08"


def test_optional_entries_stay_absent(make_result, tmp_path):
    read = FrameResult.load(make_result(ground_truth=None).save(tmp_path / "a.npz"))
    assert read.ground_truth is None and read.right is None and read.temporal_affinity is None
    np.testing.assert_array_equal(read.pixel_transform, np.eye(3))
    np.testing.assert_array_equal(read.image_size, IMAGE)


def test_left_projection_follows_resizing_and_crop(make_result):
    transform = np.array([[0.5, 0, -3.0], [0, 0.5, -7.0], [0, 0, 1]])
    result = make_result(pixel_transform=transform)
    point = np.array([1.0, -0.5, 9.0, 1.0])
    u, v, w = (INTRINSICS @ point)[:3]
    x, y, z = (result.left_projection @ point)[:3]
    np.testing.assert_allclose((x / z, y / z), (0.5 * u / w - 3, 0.5 * v / w - 7))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prediction": np.zeros((4, 4), np.uint8)}, r"prediction has shape \(4, 4\), expected"),
        ({"prediction": street().astype(np.int64)}, "prediction is int64, expected uint8"),
        ({"prediction": np.full((16, 16, 8), 21, np.uint8)}, r"prediction holds label 21"),
        ({"prediction": np.full((16, 16, 8), 255, np.uint8)}, r"label 255, expected 0..19"),
        ({"ground_truth": np.zeros((4, 4, 4), np.uint8)}, r"ground_truth has shape \(4, 4, 4\)"),
        ({"intrinsics": np.eye(3)}, r"intrinsics has shape \(3, 3\), expected \(4, 4\)"),
        ({"intrinsics": None}, "intrinsics is missing"),
        ({"depth_plane": np.array([["a"]])}, "depth_plane is <U1, expected numbers"),
    ],
)
def test_wrong_entries_are_named(make_result, change, message):
    with pytest.raises(ValueError, match=message):
        make_result(**change)


def test_reader_names_the_file(make_result, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        FrameResult.load(tmp_path / "none.npz")

    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"broken\.npz is not a result file"):
        FrameResult.load(broken)

    cut = make_result().save(tmp_path / "cut.npz")
    cut.write_bytes(cut.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"cut\.npz is not a result file"):
        FrameResult.load(cut)

    path = make_result().save(tmp_path / "old.npz")
    with np.load(path) as archive:
        entries = dict(archive)
    for change, message in (
        ({"format_version": 99}, r"old\.npz: format_version is 99, expected 1"),
        ({"left": None}, r"old\.npz: entries \['left'\] are missing"),
        ({"extra": np.ones(1)}, r"old\.npz: unknown entries \['extra'\]"),
        ({"voxel_origin": np.ones(2)}, r"old\.npz: entry voxel_origin has shape \(2,\)"),
    ):
        changed = {k: v for k, v in (entries | change).items() if v is not None}
        np.savez(path, **changed)
        with pytest.raises(ValueError, match=message):
            FrameResult.load(path)


class Sample(dict):
    """What a Det3DDataSample offers to the reader: fields, ``in``, ``get`` and metainfo."""

    metainfo = {  # noqa: RUF012
        "sequence": "08",
        "frame": "000005",
        "voxel_origin": tuple(ORIGIN),
        "voxel_size": SIZE,
        "image_size": (370, 1226),
    }

    def __getattr__(self, name):
        return self[name]


class Grid:
    def __init__(self, semantics):
        self.semantics = torch.from_numpy(semantics)


def make_inputs():
    return {
        "left": torch.arange(3 * 4 * 6, dtype=torch.uint8).reshape(3, 4, 6),
        "frames": torch.arange(2 * 3 * 4 * 6, dtype=torch.uint8).reshape(2, 3, 4, 6),
        "intrinsics_left": torch.from_numpy(INTRINSICS).float(),
        "lidar_from_camera": torch.from_numpy(LIDAR_FROM_CAMERA).float(),
        "augmented_from_lidar": torch.diag(torch.tensor([1.0, -1.0, 1.0, 1.0])),
        "current_from_frame": torch.eye(4).repeat(2, 1, 1),
    }


def test_build_from_sample():
    inputs = make_inputs()
    sample = Sample(
        pred_voxels=Grid(street()),
        gt_voxels=Grid(street()),
        temporal_affinity=torch.rand(4, 6, dtype=torch.bfloat16),
    )
    result = build_frame_result(inputs, sample)
    np.testing.assert_array_equal(result.prediction, street())
    assert result.left[2, 5].tolist() == inputs["left"][:, 2, 5].tolist()
    assert result.history.shape == (1, 4, 6, 3)
    assert result.temporal_affinity.shape == (1, 4, 6)
    assert result.image_size.tolist() == [370, 1226]
    # The voxels' frame is the flipped one, so the camera is given in it.
    flip = np.diag([1.0, -1.0, 1.0, 1.0])
    np.testing.assert_allclose(result.lidar_from_camera, flip @ LIDAR_FROM_CAMERA, atol=1e-6)


def test_build_names_what_is_missing():
    inputs = make_inputs()
    del inputs["intrinsics_left"]
    with pytest.raises(KeyError, match=r"inputs of the sample lack.*intrinsics_left"):
        build_frame_result(inputs, Sample(pred_voxels=Grid(street())))
    with pytest.raises(KeyError, match="no pred_voxels"):
        build_frame_result(make_inputs(), Sample())
