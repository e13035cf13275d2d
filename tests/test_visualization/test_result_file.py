from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from street_scene import GRID, IMAGE, INTRINSICS, LIDAR_FROM_CAMERA, street

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.errors import InvalidValueError, MissingFileError
from htcl.geometry import Camera
from htcl.visualization import FrameResult, build_frame_result


def test_round_trip(make_result, tmp_path):
    rng = np.random.default_rng(1)
    written = make_result(
        right=rng.integers(0, 255, (1, *IMAGE, 3), dtype=np.uint8),
        focal_baseline=np.array([45.0]),
        history=rng.integers(0, 255, (3, 1, 24, 80, 3), dtype=np.uint8),
        current_from_history=np.stack([np.eye(4)[None]] * 3),
        depth_plane=rng.random((1, 12, 40), dtype=np.float32),
        temporal_affinity=rng.random((1, 12, 40), dtype=np.float32),
    )
    path = written.save(tmp_path / "new" / "000005.npz")
    read = FrameResult.load(path)
    for name, value in vars(written).items():
        np.testing.assert_array_equal(getattr(read, name), value, err_msg=name)
    assert read.class_names == SEMANTICKITTI.class_names
    assert read.name == "08/000005"
    assert not list(path.parent.glob("*.part"))
    # The file is open to anyone: plain numpy reads it.
    with np.load(path, allow_pickle=False) as archive:
        assert archive["prediction"].dtype == np.uint8
        assert str(archive["sequence"]) == "08"


def test_optional_entries_stay_absent(make_result, tmp_path):
    read = FrameResult.load(make_result(ground_truth=None).save(tmp_path / "a.npz"))
    assert read.ground_truth is None and read.right is None and read.temporal_affinity is None
    np.testing.assert_array_equal(read.image_transforms, np.eye(3)[None])
    np.testing.assert_array_equal(read.image_sizes, [IMAGE])


def test_projections_follow_resizing_and_crop(make_result):
    transform = np.array([[0.5, 0, -3.0], [0, 0.5, -7.0], [0, 0, 1]])
    result = make_result(image_transforms=transform[None])
    point = np.array([1.0, -0.5, 9.0, 1.0])
    u, v, w = (INTRINSICS @ point)[:3]
    x, y, z = (result.projections[0] @ point)[:3]
    np.testing.assert_allclose((x / z, y / z), (0.5 * u / w - 3, 0.5 * v / w - 7))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prediction": np.zeros((4, 4), np.uint8)}, r"prediction has shape \(4, 4\), expected"),
        ({"prediction": street().astype(np.int64)}, "prediction is int64, expected uint8"),
        ({"prediction": np.full((16, 16, 8), 21, np.uint8)}, r"prediction holds label 21"),
        ({"prediction": np.full((16, 16, 8), 255, np.uint8)}, r"label 255, expected 0..19"),
        ({"ground_truth": np.zeros((4, 4, 4), np.uint8)}, r"ground_truth has shape \(4, 4, 4\)"),
        ({"intrinsics": np.eye(4)}, r"intrinsics has shape \(4, 4\), expected \(1, 4, 4\)"),
        (
            {"palette": np.zeros((5, 3), np.uint8)},
            r"palette has shape \(5, 3\), expected \(20, 3\)",
        ),
        ({"images": None}, "images is missing"),
        ({"right": np.zeros((2, *IMAGE, 3), np.uint8)}, r"right has shape \(2, 48, 160, 3\)"),
        ({"intrinsics": None}, "intrinsics is missing"),
        ({"depth_plane": np.array([[["a"]]])}, "depth_plane is <U1, expected numbers"),
    ],
)
def test_wrong_entries_are_named(make_result, change, message):
    with pytest.raises(InvalidValueError, match=message):
        make_result(**change)


def test_reader_names_the_file(make_result, tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.npz"):
        FrameResult.load(tmp_path / "none.npz")

    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"no archive")
    with pytest.raises(InvalidValueError, match=r"broken\.npz: not a readable"):
        FrameResult.load(broken)

    cut = make_result().save(tmp_path / "cut.npz")
    cut.write_bytes(cut.read_bytes()[:-200])
    with pytest.raises(InvalidValueError, match=r"cut\.npz: not a readable"):
        FrameResult.load(cut)

    path = make_result().save(tmp_path / "old.npz")
    with np.load(path) as archive:
        entries = dict(archive)
    for change, message in (
        ({"format_version": 99}, r"old\.npz: format_version is 99, expected 2"),
        ({"format_version": 1}, r"old\.npz: format_version is 1.*run tools/save_vis.py again"),
        ({"images": None}, r"old\.npz: entries \['images'\] are missing"),
        ({"extra": np.ones(1)}, r"old\.npz: unknown entries \['extra'\]"),
        ({"voxel_origin": np.ones(2)}, r"old\.npz: entry voxel_origin has shape \(2,\)"),
    ):
        changed = {k: v for k, v in (entries | change).items() if v is not None}
        np.savez(path, **changed)
        with pytest.raises(InvalidValueError, match=message):
            FrameResult.load(path)


class Sample(dict):
    """What a Det3DDataSample offers to the reader: fields, ``in``, ``get`` and metainfo."""

    metainfo = {  # noqa: RUF012
        "sequence": "08",
        "frame": "000005",
        "specification": replace(SEMANTICKITTI, grid=GRID),
        "image_sizes": [(370, 1226)],
    }

    def __getattr__(self, name):
        return self[name]


class Grid:
    def __init__(self, semantics):
        self.semantics = torch.from_numpy(semantics)


def make_inputs():
    return {
        "images": torch.arange(3 * 4 * 6, dtype=torch.uint8).reshape(1, 3, 4, 6),
        "history": torch.arange(3 * 4 * 6, dtype=torch.uint8).reshape(1, 1, 3, 4, 6),
        "cameras": Camera(
            intrinsics=torch.from_numpy(INTRINSICS).float()[None],
            reference_from_camera=torch.from_numpy(LIDAR_FROM_CAMERA).float()[None],
            image_transform=torch.eye(3)[None],
            augmentation=torch.diag(torch.tensor([1.0, -1.0, 1.0, 1.0]))[None],
            size=(4, 6),
        ),
        "current_from_history": torch.eye(4).repeat(1, 1, 1, 1),
    }


def test_build_from_sample():
    inputs = make_inputs()
    sample = Sample(
        pred_voxels=Grid(street()),
        gt_voxels=Grid(street()),
        temporal_affinity=torch.rand(1, 4, 6, dtype=torch.bfloat16),
    )
    result = build_frame_result(inputs, sample)
    np.testing.assert_array_equal(result.prediction, street())
    assert result.images[0, 2, 5].tolist() == inputs["images"][0, :, 2, 5].tolist()
    assert result.history.shape == (1, 1, 4, 6, 3)
    assert result.temporal_affinity.shape == (1, 4, 6)
    assert result.image_sizes.tolist() == [[370, 1226]]
    assert result.grid == GRID and result.class_names == SEMANTICKITTI.class_names
    # The voxels' frame is the flipped one, so the camera is given in it.
    flip = np.diag([1.0, -1.0, 1.0, 1.0])
    np.testing.assert_allclose(result.reference_from_camera[0], flip @ LIDAR_FROM_CAMERA, atol=1e-6)


def test_build_names_what_is_missing():
    inputs = make_inputs()
    del inputs["cameras"]
    with pytest.raises(KeyError, match=r"the sample lacks.*cameras"):
        build_frame_result(inputs, Sample(pred_voxels=Grid(street())))
    with pytest.raises(KeyError, match="no pred_voxels"):
        build_frame_result(make_inputs(), Sample())


@pytest.mark.parametrize("key", ["sequence", "frame"])
def test_names_stay_in_their_folder(make_result, tmp_path, key):
    """Also those of a stranger's file, whose pictures are written under them."""
    with pytest.raises(InvalidValueError, match=f"{key} '../../x' cannot be the name"):
        make_result(**{key: "../../x"})
    path = make_result().save(tmp_path / "a.npz")
    with np.load(path) as archive:
        entries = dict(archive)
    np.savez(path, **{**entries, key: "../../x"})
    with pytest.raises(InvalidValueError, match=rf"a\.npz: {key} '../../x' cannot be the name"):
        FrameResult.load(path)
    for wrong in (np.array([1, 2]), np.float64(1.5)):
        np.savez(path, **{**entries, key: wrong})
        with pytest.raises(InvalidValueError, match=rf"a\.npz: entry {key} is .*expected one text"):
            FrameResult.load(path)
