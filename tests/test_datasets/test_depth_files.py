from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from htcl.datasets.depth_files import read_depth_file
from htcl.errors import InvalidValueError, MissingFileError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "000000.npz"


@pytest.mark.parametrize("unit", ["depth", "disparity"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_map_and_what_is_unknown_in_it(path: Path, unit: str, dtype: str):
    np.savez(path, **{unit: np.array([[1.5, 0, np.nan], [np.inf, 20, 3]], dtype=dtype)})
    found = read_depth_file(path)
    assert found.unit == unit and found.planes is None
    assert found.values.dtype == np.float32
    assert found.values.tolist() == [[1.5, 0, 0], [0, 20, 3]]


def test_planes_of_a_volume_rise(path: Path):
    probability = np.arange(6, dtype=np.float16).reshape(3, 1, 2)
    np.savez_compressed(path, probability=probability, disparity=np.array([8.0, 4.0, 0.0]))
    found = read_depth_file(path)
    assert found.unit == "disparity" and found.planes.tolist() == [0, 4, 8]
    np.testing.assert_array_equal(found.values, probability[::-1])


def numbers(*shape: int) -> np.ndarray:
    return np.ones(shape, dtype=np.float32)


VOLUME = numbers(3, 4, 5)
NEGATIVE = numbers(4, 5)
NEGATIVE[2, 1] = -3


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "the file holds nothing, expected 'depth' or 'disparity'"),
        ({"dept": numbers(4, 5)}, r"the file holds \['dept'\], expected"),
        ({"depth": numbers(4, 5), "disparity": numbers(4, 5)}, r"holds \['depth', 'disparity'\]"),
        ({"probability": VOLUME}, r"holds \['probability'\], expected"),
        ({"depth": numbers(4, 5).astype(np.uint16)}, "depth is uint16, expected floating-point"),
        ({"depth": numbers(4, 5, 1)}, r"depth has the shape \(4, 5, 1\), expected \(height, width"),
        ({"disparity": numbers(0, 5)}, r"disparity has the shape \(0, 5\)"),
        ({"depth": NEGATIVE}, r"depth is -3\.0 at \(height, width\) = \(2, 1\).*1 places"),
        ({"probability": numbers(4, 5), "depth": numbers(4)}, r"expected \(planes, height, width"),
        ({"probability": -VOLUME, "depth": numbers(3)}, r"probability is -1\.0 at .*60 places"),
        ({"probability": VOLUME, "depth": numbers(4)}, r"depth is \(4,\) beside .*expected \(3,\)"),
        ({"probability": VOLUME[:1], "depth": numbers(1)}, r"at least two planes"),
        ({"probability": VOLUME, "depth": np.array([1.0, 2, 2])}, "expected different finite plan"),
        ({"probability": VOLUME, "depth": np.array([0.0, 1, 2])}, r"\[0\.0, 1\.0, 2\.0\].*above 0"),
        ({"probability": VOLUME, "disparity": np.array([-1.0, 1, 2])}, "planes from 0 on"),
        ({"probability": VOLUME, "depth": np.array([1.0, 2, np.inf])}, "finite planes above 0"),
        ({"depth": np.array([{}])}, "not a readable .npz file"),
    ],
)
def test_wrong_content_is_refused_by_name(path: Path, arrays: dict, message: str):
    np.savez(path, **arrays)
    with pytest.raises(InvalidValueError, match=rf"000000\.npz: .*{message}"):
        read_depth_file(path)


def test_files_of_another_kind(path: Path, tmp_path: Path):
    with pytest.raises(MissingFileError, match=r"000000\.npz: external depth file not found"):
        read_depth_file(path)
    np.save(tmp_path / "single.npy", numbers(4, 5))
    whole = tmp_path / "whole.npz"
    np.savez(whole, depth=numbers(40, 50))
    for content in (
        b"",
        b"no archive",
        (tmp_path / "single.npy").read_bytes(),
        whole.read_bytes()[:-100],
    ):
        path.write_bytes(content)
        with pytest.raises(InvalidValueError, match=r"000000\.npz: not a readable \.npz file"):
            read_depth_file(path)
    # One wrong bit in the array.
    content = bytearray(whole.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(InvalidValueError, match=r"not a readable \.npz file \(Bad CRC-32"):
        read_depth_file(path)
