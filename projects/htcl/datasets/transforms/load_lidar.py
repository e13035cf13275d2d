"""Loads the lidar scan of the current frame for depth and point supervision.

Shape letters: N points, H W network image.
"""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet3d.registry import TRANSFORMS

from htcl.datasets.labels import raw_to_train_points
from htcl.datasets.scan_files import read_point_labels, read_scan
from htcl.datasets.voxel_grid import VoxelGridSpec


@TRANSFORMS.register_module()
class LoadLidarPoints(BaseTransform):
    """Reads the scan and its labels and projects it into the left network image.

    ``pixel_convention`` of :class:`LoadStereoImages` decides how a projected position (x, y)
    becomes a pixel and a position in [-1, 1]: 'centre' takes the nearest pixel centre and u = (2 x
    + 1) / W - 1, which is exact for ``grid_sample`` with ``align_corners=False``; 'corner' takes x
    as measured from the image corner: floor, and u = 2 x / W - 1.

    Required Keys: velodyne_path, point_label_path (if ``points``), left, pixel_transform,
    pixel_convention, intrinsics_left, lidar_from_camera.

    Added Keys:
        depth_map: (H, W) float32, smallest depth of the points in each pixel, metres, 0 without a
            point; if ``depth``.
        points: (N, 3) float32, lidar frame, metres; if ``points``.
        point_labels: (N,) int64, 1-19, 0 for points without a scored class; if ``points``.
        point_uvd: (N, 3) float32, (u, v) in [-1, 1] of the network image (beyond that outside) and
            depth in metres; all 0 for points behind the camera; if ``points``.

    Args:
        depth: Add the depth map.
        points: Add the points.
        point_range: 'grid' keeps the points inside the voxel grid; 'all' keeps every point. Does
            not touch the depth map.
        grid: Arguments of :class:`htcl.datasets.voxel_grid.VoxelGridSpec`; None is SemanticKITTI's
            grid.

    Raises:
        FileNotFoundError: If a file is absent.
        ValueError: If a file is cut short, points and labels differ in number, or a label id is
            unknown.
    """

    def __init__(
        self,
        depth: bool = True,
        points: bool = True,
        point_range: str = "grid",
        grid: dict | None = None,
    ) -> None:
        if point_range not in ("grid", "all"):
            raise ValueError(
                f"point_range: unknown value {point_range!r}, expected 'grid' or 'all'"
            )
        self.depth = depth
        self.points = points
        self.point_range = point_range
        self.grid = VoxelGridSpec(**(grid or {}))

    def required_files(self, results: dict) -> list[tuple[str | None, ...]]:
        """Names the files that a sample needs, each as a tuple of alternatives."""
        files = [(results["velodyne_path"],)]
        if self.points:
            files.append((results["point_label_path"],))
        return files

    def transform(self, results: dict) -> dict:
        """Adds depth map and points."""
        scan = read_scan(results["velodyne_path"])[:, :3]
        pixels, depth = project_to_network_image(scan, results)
        height, width = results["left"].shape[:2]
        corner = results["pixel_convention"] == "corner"
        if self.depth:
            results["depth_map"] = depth_map(
                np.floor(pixels if corner else pixels + 0.5), depth, (height, width)
            )
        if self.points:
            path = results["point_label_path"]
            raw = read_point_labels(path, len(scan), results["velodyne_path"])
            labels = raw_to_train_points(raw, strict=True, source=path)
            keep = slice(None)
            if self.point_range == "grid":
                keep, _ = self.grid.indices(scan)
            uv = (2 * pixels + (0 if corner else 1)) / (width, height) - 1
            uvd = np.column_stack([uv, depth])
            uvd[depth <= 0] = 0
            results["points"] = np.ascontiguousarray(scan[keep])
            results["point_labels"] = labels[keep].astype(np.int64)
            results["point_uvd"] = uvd[keep].astype(np.float32)
        return results

    def __repr__(self) -> str:
        """Names the step and its settings."""
        return (
            f"{type(self).__name__}(depth={self.depth}, points={self.points}, "
            f"point_range={self.point_range!r})"
        )


def project_to_network_image(points: np.ndarray, results: dict) -> tuple[np.ndarray, np.ndarray]:
    """Projects lidar points into the left network image.

    Args:
        points: (N, 3), lidar frame, metres.
        results: Sample with intrinsics_left, lidar_from_camera and pixel_transform.

    Returns:
        Pixels (N, 2) float64 (x, y), meaningless where the depth is not positive, and depth (N,)
        float64 in metres.
    """
    camera_from_lidar = np.linalg.inv(results["lidar_from_camera"].astype(np.float64))
    matrix = results["intrinsics_left"].astype(np.float64) @ camera_from_lidar
    projected = points.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    depth = projected[:, 2]
    original = projected[:, :2] / np.where(depth > 0, depth, 1.0)[:, None]
    transform = results["pixel_transform"].astype(np.float64)
    return original @ transform[:2, :2].T + transform[:2, 2], depth


def depth_map(pixels: np.ndarray, depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Draws points into a depth image; the nearest of the points in a pixel wins.

    Args:
        pixels: (N, 2) whole-numbered pixels (x, y).
        depth: (N,) metres; points at or behind the camera are left out.
        size: (H, W).

    Returns:
        (H, W) float32, metres, 0 where no point falls.
    """
    height, width = size
    x, y = pixels[:, 0], pixels[:, 1]
    keep = (depth > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    flat = y[keep].astype(np.int64) * width + x[keep].astype(np.int64)
    image = np.full(height * width, np.inf, dtype=np.float32)
    np.minimum.at(image, flat, depth[keep].astype(np.float32))
    image[np.isinf(image)] = 0
    return image.reshape(size)
