"""External depth over four bins at 2, 3, 4 and 5 m; 2 x 4 cells of 8 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htcl.datasets.transforms import LoadDepthPrior, LoadImages
from htcl.errors import InvalidValueError, MissingFileError

BINS = {"start": 2.0, "stop": 6.0, "step": 1.0}
FOCAL_BASELINE = 24.0
PRIORS = {"depth_prior", "history_depth_prior"}


def save(folder: Path, name: str, **arrays: np.ndarray) -> str:
    np.savez(folder / f"{name}.npz", **{key: np.asarray(a, float) for key, a in arrays.items()})
    return str(folder / f"{name}.npz")


def sample(
    folder: Path,
    depth: str | None,
    history: tuple[str, ...] = (),
    size: tuple[int, int] = (20, 40),
    inputs: set[str] | None = None,
    **images,
) -> dict:
    """A sample of one camera after its images are loaded."""
    picture = str(folder / "image.png")
    Image.fromarray(np.zeros((*size, 3), np.uint8)).save(picture)
    info = {
        "name": "left",
        "image": picture,
        "depth": depth,
        "history": [picture] * len(history),
        "history_depth": list(history),
        "intrinsics": np.eye(4),
        "reference_from_camera": np.eye(4),
        "focal_baseline": FOCAL_BASELINE,
    }
    results = {"sequence": "00", "frame": "000000", "cameras": [info], "inputs": inputs}
    return LoadImages((16, 32), **images).transform(results)


def prior(folder: Path, size: tuple[int, int] = (20, 40), step=None, **arrays) -> np.ndarray:
    """Distribution (4, 2, 4) of a file with these arrays."""
    step = step or LoadDepthPrior(BINS, relative_sigma=0.0)
    results = step.transform(sample(folder, save(folder, "depth", **arrays), size=size))
    found = results["depth_prior"]
    assert found.shape == (1, 4, 2, 4) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    return found[0]


def distribution(*weights: float) -> np.ndarray:
    return np.array(weights) / sum(weights)


def test_constant_depth(tmp_path: Path):
    """A scale of half a step, 0.5 m: exp(-2 |d - 3.25|)."""
    found = prior(tmp_path, depth=np.full((3, 5), 3.25))
    expected = distribution(*np.exp([-2.5, -0.5, -1.5, -3.5]))
    for cell in found.reshape(4, -1).T:
        np.testing.assert_allclose(cell, expected, rtol=1e-6)


def test_scale_grows_with_the_depth(tmp_path: Path):
    """Half of 4 m: exp(-|d - 4| / 2)."""
    step = LoadDepthPrior(BINS, relative_sigma=0.5)
    found = prior(tmp_path, step=step, depth=np.full((1, 1), 4.0))
    np.testing.assert_allclose(found[:, 1, 2], distribution(*np.exp([-1, -0.5, 0, -0.5])), 1e-6)


def test_disparity_is_depth_by_focal_baseline(tmp_path: Path):
    depth = np.array([[2.0, 3, 4, 6], [8, 12, 24, 0]])
    disparity = np.divide(FOCAL_BASELINE, depth, out=np.zeros_like(depth), where=depth > 0)
    np.testing.assert_array_equal(
        prior(tmp_path, disparity=disparity), prior(tmp_path, depth=depth)
    )


@pytest.mark.parametrize("unknown", [0, np.nan, np.inf])
def test_unknown_is_uniform_and_too_far_is_far(tmp_path: Path, unknown: float):
    """Each cell reads its own pixel of the map."""
    found = prior(tmp_path, depth=[[unknown, 5, 1000, 1], [2, 3, 4, 5.5]])
    assert found[:, 0, 0].tolist() == [0.25] * 4
    last = distribution(*np.exp([-6, -4, -2, 0]))
    for cell in (found[:, 0, 1], found[:, 0, 2], found[:, 1, 3]):
        np.testing.assert_allclose(cell, last, rtol=1e-6)
    for cell in (found[:, 0, 3], found[:, 1, 0]):
        np.testing.assert_allclose(cell, last[::-1], rtol=1e-6)
    assert found.argmax(axis=0)[1].tolist() == [0, 1, 2, 3]


def test_cells_look_where_the_network_image_came_from(tmp_path: Path):
    # 40 x 40 pixels become 32 x 32, of which the lower half stays.
    found = prior(tmp_path, size=(40, 40), depth=[[2, 2], [3, 4]])
    assert found.argmax(axis=0).tolist() == [[1, 1, 2, 2]] * 2
    # 10 x 40 pixels become 8 x 32, and the upper half is a border.
    found = prior(tmp_path, size=(10, 40), depth=np.full((5, 4), 5.0))
    assert (found[:, 0] == 0.25).all() and (found.argmax(axis=0)[1] == 3).all()


def test_released_history_has_its_own_transform(tmp_path: Path):
    """Images of 40 x 40 pixels: the lower half, but all of each earlier image."""
    path = save(tmp_path, "depth", depth=[[2], [3]])
    results = sample(tmp_path, path, (path,), (40, 40), history_images="released")
    results = LoadDepthPrior(BINS).transform(results)
    assert results["depth_prior"][0].argmax(axis=0).tolist() == [[1] * 4] * 2
    assert results["history_depth_prior"][0, 0].argmax(axis=0).tolist() == [[0] * 4, [1] * 4]


def test_planes_at_the_bins_are_taken_as_they_are(tmp_path: Path):
    probability = np.random.default_rng(0).random((4, 2, 4))
    found = prior(tmp_path, probability=probability, depth=[2.0, 3, 4, 5])
    np.testing.assert_allclose(found, probability / probability.sum(axis=0), rtol=1e-6)


def test_planes_are_shared_among_the_bins_that_they_cover(tmp_path: Path):
    """Intervals 2.5-4.5 m and 4.5-6.5 m; bins are 1 m wide and the last one has no end."""
    probability = np.array([0.2, 0.6])[:, None, None]
    found = prior(tmp_path, probability=probability, depth=[3.5, 5.5])
    np.testing.assert_allclose(found[:, 0, 0], [0, 0.125, 0.125, 0.75], atol=1e-7)


def test_planes_of_disparity(tmp_path: Path):
    """Intervals of -3 to 3, 3 to 8 and 8 to 12 pixels; bins end at 9.6, 6.857 and 5.333."""
    probability = np.array([0.25, 0.5, 0.25])[:, None, None]
    found = prior(tmp_path, probability=probability, disparity=[0.0, 6, 10])
    # 24 pixel metres: 2.5, 3.5 and 4.5 m. Disparity 0 is infinitely far, so in the last bin.
    near, middle, far = 24 / 2.5, 24 / 3.5, 24 / 4.5
    edges = np.array([12, near, middle, far, -3])
    borders = np.array([[-3, 3], [3, 8], [8, 12]])
    expected = np.zeros(4)
    for share, (low, high) in zip((0.25, 0.5, 0.25), borders, strict=True):
        for index in range(4):
            covered = min(high, edges[index]) - max(low, edges[index + 1])
            expected[index] += share * max(covered, 0) / (high - low)
    np.testing.assert_allclose(found[:, 0, 0], expected, rtol=1e-6)


def test_a_pixel_without_probability_is_unknown(tmp_path: Path):
    probability = np.ones((2, 1, 2))
    probability[:, 0, 1] = 0
    found = prior(tmp_path, probability=probability, depth=[2.0, 3])
    assert found[:, 0, 0].tolist() == [0.5, 0.5, 0, 0] and found[:, 0, 3].tolist() == [0.25] * 4


def test_history_is_oldest_first_and_may_repeat_files(tmp_path: Path):
    paths = [save(tmp_path, str(depth), depth=np.full((2, 2), depth)) for depth in (3.0, 4.0)]
    results = sample(tmp_path, None, (paths[0], paths[0], paths[1]))
    found = LoadDepthPrior(BINS).transform(results)
    assert "depth_prior" not in found
    assert found["history_depth_prior"].shape == (3, 1, 4, 2, 4)
    assert found["history_depth_prior"].argmax(axis=2)[:, 0, 0, 0].tolist() == [1, 1, 2]


def test_what_is_not_wanted_is_not_read(tmp_path: Path):
    results = sample(tmp_path, "nowhere.npz", ("nowhere.npz",), inputs={"images"})
    step = LoadDepthPrior(BINS)
    assert not PRIORS & set(step.transform(results))
    info = {"cameras": results["camera_infos"], "inputs": PRIORS}
    assert step.required_files(info) == [("nowhere.npz",), ("nowhere.npz",)]
    assert step.required_files(info | {"inputs": {"depth_prior"}}) == [("nowhere.npz",)]
    with pytest.raises(MissingFileError, match=r"nowhere\.npz: external depth file not found"):
        step.transform(results | {"inputs": {"depth_prior"}})
    results = sample(tmp_path, None)
    assert not PRIORS & set(step.transform(results))
    with pytest.raises(InvalidValueError, match=r"'history_depth_prior' is wanted.*external depth"):
        step.transform(results | {"inputs": PRIORS - {"depth_prior"}})


def test_a_disparity_needs_a_pair(tmp_path: Path):
    results = sample(tmp_path, save(tmp_path, "depth", disparity=np.ones((2, 2))))
    results["camera_infos"][0]["focal_baseline"] = None
    with pytest.raises(InvalidValueError, match=r"depth\.npz: a disparity needs .*camera 'left'"):
        LoadDepthPrior(BINS).transform(results)


def test_settings_are_checked(tmp_path: Path):
    results = sample(tmp_path, save(tmp_path, "depth", depth=np.ones((2, 2))))
    with pytest.raises(InvalidValueError, match=r"stride=12 does not divide .*\(16, 32\)"):
        LoadDepthPrior(BINS, stride=12).transform(results)
    with pytest.raises(InvalidValueError, match="stride must be at least 1"):
        LoadDepthPrior(BINS, stride=0)
    with pytest.raises(InvalidValueError, match="relative_sigma at least 0, found 8 and -1"):
        LoadDepthPrior(BINS, relative_sigma=-1)
