"""Loads depth from outside of the network as distributions over the depth bins.

Shape letters: N camera, T frame, D depth bin, P plane, H W network image, h w feature map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.registry import TRANSFORMS

from htcl.datasets.depth_files import read_depth_file
from htcl.datasets.sample_info import CameraInfo, wanted_inputs
from htcl.datasets.transforms.step import Step
from htcl.errors import InvalidValueError
from htcl.geometry import Camera, DepthBins, cell_pixels


@TRANSFORMS.register_module()
class LoadDepthPrior(Step):
    """Reads external depth, of :mod:`htcl.datasets.depth_files`, of present and history.

    A cell of the feature map takes what the file says nearest to the middle of the cell in the
    original image, by the transform of the network images.

    * A depth z becomes a discretised Laplace distribution: bins at the depths d_i have
      probabilities proportional to exp(-abs(d_i - z) / b) with the scale
      b = max(step / 2, relative_sigma z). A z outside of the bins counts as the nearest bin: that
      something is farther than the last bin is knowledge, and what is lifted there falls out of
      the grid, whereas a uniform distribution would spread the far part of a street over the scene.
    * A volume's planes are intervals that meet halfway between neighbours. Each plane's
      probability is shared among the bins (intervals of one step) that its interval covers, evenly
      in the planes' own unit; what lies outside of the bins goes to the nearest.
    * Where the depth is unknown, also outside of the original image, all bins are as probable.

    Does nothing for inputs that the sample does not want.

    Required Keys: cameras, camera_infos and image_sizes (made by :class:`LoadImages`).

    Optional Keys: inputs; history_cameras.

    Added Keys:
        depth_prior: (N, D, h, w) float32 probabilities, sum 1 over D, with h w = H W / stride; if
            wanted.
        history_depth_prior: (T-1, N, D, h, w) float32, the same of the earlier images; if wanted.

    Args:
        depth_bins: The depth axis.
        stride: Pixels of the network image along an edge of a cell.
        relative_sigma: Scale of the distribution around a depth, in parts of the depth.

    Raises:
        MissingFileError: If a file is absent.
        InvalidValueError: If an argument or a file's content is not what it must be, or a disparity
            belongs to no pair of cameras.
    """

    def __init__(
        self,
        depth_bins: DepthBins | Mapping[str, float],
        stride: int = 8,
        relative_sigma: float = 0.03,
    ) -> None:
        if stride < 1 or relative_sigma < 0:
            raise InvalidValueError(
                "LoadDepthPrior: stride must be at least 1 and relative_sigma at least 0, "
                f"found {stride} and {relative_sigma}"
            )
        self.depth_bins = DepthBins.build(depth_bins)
        self.stride = stride
        self.relative_sigma = relative_sigma

    def required_files(self, results: dict[str, Any]) -> list[tuple[str, ...]]:
        """Names the files that a sample needs, each as a tuple of alternatives."""
        cameras: list[CameraInfo] = results["cameras"]
        wanted = _wanted(results, cameras)
        files: list[str] = []
        for camera in cameras:
            if "depth_prior" in wanted:
                files.append(str(camera["depth"]))
            if "history_depth_prior" in wanted:
                files += camera["history_depth"]
        return [(path,) for path in files]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Adds the distributions."""
        infos: list[CameraInfo] = results["camera_infos"]
        wanted = _wanted(results, infos)
        if "depth_prior" in wanted:
            priors = self._priors(results, results["cameras"], [[str(i["depth"])] for i in infos])
            results["depth_prior"] = priors[0]
        if "history_depth_prior" in wanted:
            cameras = results.get("history_cameras", results["cameras"])
            paths = [info["history_depth"] for info in infos]
            results["history_depth_prior"] = self._priors(results, cameras, paths)
        return results

    def _priors(
        self, results: dict[str, Any], cameras: Camera, paths: Sequence[Sequence[str]]
    ) -> np.ndarray:
        """Distributions (T, N, D, h, w) of T files of each of N cameras."""
        columns = []
        for index, (info, files) in enumerate(zip(results["camera_infos"], paths, strict=True)):
            places = self._places(cameras[index], results["image_sizes"][index])
            # A clamped history repeats files.
            known = {path: self._prior(path, places, info) for path in dict.fromkeys(files)}
            columns.append(np.stack([known[path] for path in files]))
        return np.stack(columns, axis=1)

    def _places(self, camera: Camera, image_size: tuple[int, int]) -> np.ndarray:
        """Middle of each cell (2, h, w) in the original image: 0 to 1 to the right and down."""
        for length in camera.size:
            if length % self.stride:
                raise InvalidValueError(
                    f"LoadDepthPrior: stride={self.stride} does not divide the network image "
                    f"{camera.size}: choose another input_size or the stride of the features"
                )
        rows, columns = (
            cell_pixels(length, length // self.stride, camera.pixels).numpy()
            for length in camera.size
        )
        inverse = np.linalg.inv(camera.image_transform.double().numpy())
        x, y = np.meshgrid(columns, rows)
        original = np.tensordot(inverse, np.stack([x, y, np.ones_like(x)]), axes=1)[:2]
        height, width = image_size
        return (original + 0.5) / np.array([width, height])[:, None, None]

    def _prior(self, path: str, places: np.ndarray, info: CameraInfo) -> np.ndarray:
        """Distributions (D, h, w) float32 of a file at places (2, h, w) in the original image."""
        values, planes, unit = read_depth_file(path)
        focal_baseline = info.get("focal_baseline") or 0.0
        if unit == "disparity" and focal_baseline <= 0:
            raise InvalidValueError(
                f"{path}: a disparity needs focal length times baseline of a pair of cameras, but "
                f"camera {info.get('name')!r} has none: store the array 'depth' in metres"
            )
        size = np.array(values.shape[:-3:-1])[:, None, None]
        column, row = np.clip(np.floor(places * size).astype(int), 0, size - 1)
        found = values[..., row, column] * ((places >= 0) & (places < 1)).all(axis=0)
        if planes is not None:
            shares = _shares(self.depth_bins, planes, unit, focal_baseline)
            return _normalised(np.tensordot(shares, found.astype(np.float64), axes=1))
        if unit == "disparity":
            found = np.divide(focal_baseline, found, out=np.zeros_like(found), where=found > 0)
        return _normalised(self._laplace(found))

    def _laplace(self, depth: np.ndarray) -> np.ndarray:
        """Weights (D, h, w) of the bins around a depth (h, w), metres; 0 where that is 0."""
        bins = self.depth_bins
        centre = np.clip(depth.astype(np.float64), bins.start, bins.last)
        scale = np.maximum(bins.step / 2, self.relative_sigma * centre)
        values = bins.values().double().numpy()[:, None, None]
        return np.exp(-np.abs(values - centre) / scale) * (depth > 0)


def _normalised(weights: np.ndarray) -> np.ndarray:
    """Distributions (D, h, w) float32; uniform where all weights are 0."""
    weights = np.where(weights.sum(axis=0) > 0, weights, 1.0)
    return (weights / weights.sum(axis=0)).astype(np.float32)


def _shares(bins: DepthBins, planes: np.ndarray, unit: str, focal_baseline: float) -> np.ndarray:
    """Share of each plane's probability in each bin, (D, P) float64; each column has the sum 1."""
    edges = bins.start + bins.step * (np.arange(bins.num + 1) - 0.5)
    # Nothing is lost: the outer bins take what is nearer or farther.
    if unit == "disparity":
        # Evenly in disparity, in which even a plane of disparity 0 is an interval of finite length.
        inner = focal_baseline / edges[1:-1]
        low, high = np.append(inner, -np.inf), np.append(np.inf, inner)
    else:
        low, high = np.append(-np.inf, edges[1:-1]), np.append(edges[1:-1], np.inf)
    middle = (planes[1:] + planes[:-1]) / 2
    borders = np.concatenate([[2 * planes[0] - middle[0]], middle, [2 * planes[-1] - middle[-1]]])
    covered = np.minimum(high[:, None], borders[1:]) - np.maximum(low[:, None], borders[:-1])
    return np.clip(covered, 0, None) / np.diff(borders)


def _wanted(results: dict[str, Any], cameras: Sequence[CameraInfo]) -> set[str]:
    """Names of the inputs to load."""
    available = {
        "depth_prior": all(camera.get("depth") for camera in cameras),
        "history_depth_prior": all(camera.get("history_depth") for camera in cameras),
    }
    return wanted_inputs(results, available)
