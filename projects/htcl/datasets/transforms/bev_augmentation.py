"""Flip, rotation and scale of the scene in the ground plane.

Shape letters: N points, X front, Y left, Z up (voxels).
"""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet3d.registry import TRANSFORMS

from htcl.datasets.labels import IGNORE_INDEX
from htcl.datasets.voxel_grid import VoxelGridSpec


@TRANSFORMS.register_module()
class BEVAugmentation(BaseTransform):
    """Moves labels, points and the lidar-to-voxel geometry together; the images stay as they are.

    The map is p' = c + s R F (p - c): flips F first, then the rotation R about the vertical axis,
    then the scale s of all three axes, about a fixed point c. By default c is (25.6, 0, 0): the
    middle of the grid seen from above, at the height of the sensor. So both flips take the grid
    onto itself, and a rotation moves as little as possible out of it. With ``centre='sensor'`` c is
    the lidar origin, as in the BEVDet family, whose grids lie around the sensor; there ``flip_x``
    would throw the whole scene out of a grid that lies in front of the sensor, so it is refused.

    The product is written to ``augmented_from_lidar``; the model lifts image features with it.
    Labels are resampled at the nearest voxel; a voxel whose origin lies outside the old grid
    becomes 255.

    Off in the released configuration (leave it out).

    Required Keys: augmented_from_lidar; voxel_labels, points, point_labels and point_uvd if
    present.

    Modified Keys:
        augmented_from_lidar: (4, 4) float32.
        voxel_labels: (X, Y, Z) uint8.
        points, point_labels, point_uvd: the points moved; those that left the grid are dropped (all
            keep their image position).

    Args:
        flip_x_prob: Probability of a flip front to back.
        flip_y_prob: Probability of a flip left to right.
        rotation: Range (low, high) of the angle in degrees, counter-clockwise seen from above.
        scale: Range (low, high) of the factor.
        centre: 'grid' or 'sensor', or three numbers (x, y, z) in metres.
        grid: Arguments of :class:`htcl.datasets.voxel_grid.VoxelGridSpec` for the labels; None is
            SemanticKITTI's grid.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        flip_x_prob: float = 0.0,
        flip_y_prob: float = 0.5,
        rotation: tuple[float, float] = (0.0, 0.0),
        scale: tuple[float, float] = (1.0, 1.0),
        centre: str | tuple[float, float, float] = "grid",
        grid: dict | None = None,
    ) -> None:
        self.grid = VoxelGridSpec(**(grid or {}))
        for key, value in (("flip_x_prob", flip_x_prob), ("flip_y_prob", flip_y_prob)):
            if not 0 <= value <= 1:
                raise ValueError(f"{key} must be in 0..1, found {value}")
        if len(rotation) != 2 or len(scale) != 2 or scale[0] <= 0:
            raise ValueError(
                "rotation and scale are (low, high) with scale above 0, "
                f"found {rotation} and {scale}"
            )
        if centre == "sensor" and flip_x_prob > 0:
            raise ValueError(
                "flip_x_prob > 0 with centre='sensor' would leave an empty grid; use centre='grid'"
            )
        if centre == "grid":
            low, high = self.grid.origin, self.grid.upper
            centre = ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2, 0.0)
        elif centre == "sensor":
            centre = (0.0, 0.0, 0.0)
        elif isinstance(centre, str) or len(centre) != 3:
            raise ValueError(f"centre must be 'grid', 'sensor' or three numbers, found {centre!r}")
        self.flip_x_prob = flip_x_prob
        self.flip_y_prob = flip_y_prob
        self.rotation = tuple(rotation)
        self.scale = tuple(scale)
        self.centre = np.array(centre, dtype=np.float64)

    def transform(self, results: dict) -> dict:
        """Draws one map and applies it to all that the sample holds."""
        matrix = self.matrix(
            np.random.rand() < self.flip_x_prob,
            np.random.rand() < self.flip_y_prob,
            np.random.uniform(*self.rotation),
            np.random.uniform(*self.scale),
        )
        if np.array_equal(matrix, np.eye(4)):
            return results
        before = results["augmented_from_lidar"].astype(np.float64)
        results["augmented_from_lidar"] = (matrix @ before).astype(np.float32)
        if "voxel_labels" in results:
            results["voxel_labels"] = self._resample(results["voxel_labels"], matrix)
        if "points" in results:
            points = results["points"].astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
            inside, _ = self.grid.indices(points)
            results["points"] = points[inside].astype(np.float32)
            results["point_labels"] = results["point_labels"][inside]
            results["point_uvd"] = results["point_uvd"][inside]
        return results

    def matrix(self, flip_x: bool, flip_y: bool, degrees: float, scale: float) -> np.ndarray:
        """Builds ``augmented_from_lidar`` (4, 4) float64 of given draws."""
        angle = np.deg2rad(degrees)
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        linear = scale * turn @ np.diag([-1.0 if flip_x else 1.0, -1.0 if flip_y else 1.0, 1.0])
        matrix = np.eye(4)
        matrix[:3, :3] = linear
        matrix[:3, 3] = self.centre - linear @ self.centre
        return matrix

    def _resample(self, labels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Looks up for each new voxel centre the old voxel that it comes from."""
        if labels.shape != self.grid.size:
            raise ValueError(
                f"voxel_labels have shape {labels.shape}, "
                f"but the grid of the augmentation is {self.grid.size}"
            )
        inverse = np.linalg.inv(matrix)
        x, y, z = (self.grid.centres(axis) for axis in range(3))
        # The map does not mix the vertical axis with the others, so two small tables address all
        # voxels.
        old_x = inverse[0, 0] * x[:, None] + inverse[0, 1] * y[None, :] + inverse[0, 3]
        old_y = inverse[1, 0] * x[:, None] + inverse[1, 1] * y[None, :] + inverse[1, 3]
        old_z = inverse[2, 2] * z + inverse[2, 3]
        index_x, in_x = self._axis_index(old_x, 0)
        index_y, in_y = self._axis_index(old_y, 1)
        index_z, in_z = self._axis_index(old_z, 2)
        result = labels[index_x[:, :, None], index_y[:, :, None], index_z[None, None, :]]
        result[~(in_x & in_y)] = IGNORE_INDEX
        result[:, :, ~in_z] = IGNORE_INDEX
        return result

    def _axis_index(self, position: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
        index = np.floor((position - self.grid.origin[axis]) / self.grid.voxel_size).astype(np.intp)
        inside = (index >= 0) & (index < self.grid.size[axis])
        return np.clip(index, 0, self.grid.size[axis] - 1), inside

    def __repr__(self) -> str:
        """Names the step and its settings."""
        return (
            f"{type(self).__name__}(flip_x_prob={self.flip_x_prob}, "
            f"flip_y_prob={self.flip_y_prob}, rotation={self.rotation}, "
            f"scale={self.scale}, centre={tuple(self.centre.tolist())})"
        )
