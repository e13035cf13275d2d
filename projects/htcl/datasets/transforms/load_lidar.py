"""Loads a lidar scan for depth and point supervision: P point, N camera, H W network image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.registry import TRANSFORMS

from htcl.datasets.sample_info import wanted_inputs
from htcl.datasets.scan_files import read_point_labels, read_scan
from htcl.datasets.specification import DatasetSpecification
from htcl.datasets.transforms.step import Step
from htcl.errors import InvalidValueError
from htcl.geometry import Camera


@TRANSFORMS.register_module()
class LoadLidarPoints(Step):
    """Reads the scan and its labels and projects it into the network images.

    The pixel rule of the cameras decides how a projected position (x, y) becomes a pixel and a
    position in [-1, 1]: 'centres' takes the nearest pixel centre and u = (2 x + 1) / W - 1, which
    is exact for ``grid_sample`` with ``align_corners=False``; 'released' takes x as measured from
    the image corner: floor, and u = 2 x / W - 1.

    A scan without labels of its own takes those of the voxels that its points lie in.

    Required Keys: lidar, lidar_labels, cameras (made by :class:`LoadImages`), specification;
    voxel_labels (made by :class:`LoadVoxelLabels`) if ``lidar_labels`` is None.

    Optional Keys: inputs, with_labels, lidar_columns, reference_from_lidar.

    Added Keys:
        depth_maps: (N, H, W) float32, smallest depth of the points in each pixel, metres, 0 without
            a point; if wanted.
        points: (P, 3) float32, those in the grid of the specification, reference frame, metres; if
            wanted, with the next two.
        point_labels: (P,) int64, the empty class for points without a scored class.
        point_uvd: (N, P, 3) float32, (u, v) in [-1, 1] of the network image (beyond that outside)
            and depth in metres; all 0 for points behind the camera.

    Raises:
        MissingFileError: If a file is absent.
        InvalidValueError: If a file is cut short, points and labels differ in number, a label id is
            unknown, or no point falls into an image though depth maps are wanted.
    """

    def required_files(self, results: dict[str, Any]) -> list[tuple[str, ...]]:
        """Names the files that a sample needs, each as a tuple of alternatives."""
        wanted = _wanted(results)
        files: list[tuple[str, ...]] = [(results["lidar"],)] if wanted else []
        labelled = "points" in wanted and results.get("lidar_labels")
        return [*files, (results["lidar_labels"],)] if labelled else files

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Adds depth maps and points."""
        wanted = _wanted(results)
        if not wanted:
            return results
        # Next to one another in memory, the coordinates are read faster.
        columns = results.get("lidar_columns", 4)
        scan = np.ascontiguousarray(read_scan(results["lidar"], columns)[:, :3])
        mounting = results.get("reference_from_lidar")
        if mounting is not None:
            scan = (scan @ mounting[:3, :3].T + mounting[:3, 3]).astype(np.float32)
        points = torch.from_numpy(scan)
        cameras: Camera = results["cameras"]
        pixels, depth = (value.numpy() for value in cameras.project(points))
        released = cameras.pixels == "released"
        if "depth_maps" in wanted:
            whole = np.floor(pixels if released else pixels + 0.5)
            results["depth_maps"] = np.stack(
                [depth_map(*view, cameras.size) for view in zip(whole, depth, strict=True)]
            )
            if not results["depth_maps"].any():
                raise InvalidValueError(
                    f"{results['lidar']}: none of the {len(scan)} points falls into an image, "
                    "expected the scan and the calibration of the frame; "
                    f"{results.get('calib_path') or 'the calibration'} or the scan is of another "
                    "drive"
                )
        if "points" in wanted:
            specification: DatasetSpecification = results["specification"]
            voxels = specification.grid.flat_index(points).numpy()
            inside = np.flatnonzero(voxels >= 0)
            path = results.get("lidar_labels")
            if path:
                raw = read_point_labels(path, len(scan), results["lidar"])
                labels = specification.points_from_raw(raw, strict=True, source=path)[inside]
            else:
                labels = results["voxel_labels"].reshape(-1)[voxels[inside]]
                unscored = labels == specification.ignore_index
                labels = np.where(unscored, specification.empty_class, labels)
            depth = depth[:, inside]
            uvd = np.empty((*depth.shape, 3), dtype=np.float32)
            for axis, side in enumerate(cameras.size[::-1]):
                uvd[..., axis] = (2 * pixels[:, inside, axis] + (0 if released else 1)) / side - 1
            uvd[..., 2] = depth
            uvd[depth <= 0] = 0
            results["points"] = scan[inside]
            results["point_labels"] = labels.astype(np.int64)
            results["point_uvd"] = uvd
        return results


def depth_map(pixels: np.ndarray, depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Draws points into a depth image, (H, W) float32, metres, 0 where no point falls.

    The nearest of the points in a pixel wins.

    Args:
        pixels: (P, 2) whole-numbered pixels (x, y).
        depth: (P,) metres; points at or behind the camera are left out.
        size: (H, W).
    """
    height, width = size
    x, y = pixels[:, 0], pixels[:, 1]
    keep = (depth > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    flat = y[keep].astype(np.int64) * width + x[keep].astype(np.int64)
    image = np.full(height * width, np.inf, dtype=np.float32)
    np.minimum.at(image, flat, depth[keep].astype(np.float32))
    image[np.isinf(image)] = 0
    return image.reshape(size)


def _wanted(results: dict[str, Any]) -> set[str]:
    """Names of the inputs to load."""
    scan = bool(results.get("lidar"))
    labels = bool(results.get("lidar_labels") or results.get("with_labels"))
    return wanted_inputs(results, {"depth_maps": scan, "points": scan and labels})
