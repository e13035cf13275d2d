"""Flip, rotation and scale in the ground plane: N camera, P point, X front, Y left, Z up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from mmengine.registry import TRANSFORMS

from htcl.datasets.specification import DatasetSpecification
from htcl.datasets.transforms.step import Step
from htcl.errors import InvalidValueError
from htcl.geometry import VoxelGrid


@TRANSFORMS.register_module()
class BEVAugmentation(Step):
    """Moves labels, points and the cameras' geometry together; the images stay as they are.

    So do all inputs that belong to pixels: right images and history, and the depth priors, which
    say how far from its camera a pixel is. Cameras take the scene of all of them along.

    The map is p' = c + s R F (p - c): flips F first, then the rotation R about the vertical axis,
    then the scale s of all three axes, about a fixed point c. By default c is the middle of the
    grid seen from above, at the height of the sensor: (25.6, 0, 0) for SemanticKITTI. So both flips
    take the grid onto itself, and a rotation moves as little as possible out of it. With
    ``centre='sensor'`` c is the origin, as in the BEVDet family, whose grids lie around the sensor;
    there ``flip_x`` would throw the whole scene out of a grid that lies in front of the sensor, so
    it is refused.

    The product is written to ``augmentation`` of the cameras; the model lifts image features with
    it. Labels are resampled at the nearest voxel; a voxel whose origin lies outside the old grid is
    not scored.

    Off in the released configuration (leave it out).

    Required Keys: cameras, specification; history_cameras, voxel_labels, voxel_masks, points,
    point_labels and point_uvd if present.

    Modified Keys:
        cameras, history_cameras: ``augmentation``.
        voxel_labels: (X, Y, Z) uint8.
        voxel_masks: (X, Y, Z) bool each; what comes from outside is in none.
        points, point_labels, point_uvd: the points moved; those that left the grid are dropped (all
            keep their image position).

    Args:
        flip_x_prob: Probability of a flip front to back.
        flip_y_prob: Probability of a flip left to right.
        rotation: Range (low, high) of the angle in degrees, counter-clockwise seen from above.
        scale: Range (low, high) of the factor.
        centre: 'grid' or 'sensor', or three numbers (x, y, z) in metres.

    Raises:
        InvalidValueError: If an argument is out of range.
    """

    def __init__(
        self,
        flip_x_prob: float = 0.0,
        flip_y_prob: float = 0.5,
        rotation: Sequence[float] = (0.0, 0.0),
        scale: Sequence[float] = (1.0, 1.0),
        centre: str | Sequence[float] = "grid",
    ) -> None:
        for key, value in (("flip_x_prob", flip_x_prob), ("flip_y_prob", flip_y_prob)):
            if not 0 <= value <= 1:
                raise InvalidValueError(f"{key} must be in 0..1, found {value}")
        if len(rotation) != 2 or len(scale) != 2 or scale[0] <= 0:
            raise InvalidValueError(
                "rotation and scale are (low, high) with scale above 0, "
                f"found {rotation} and {scale}"
            )
        if centre == "sensor" and flip_x_prob > 0:
            raise InvalidValueError(
                "flip_x_prob > 0 with centre='sensor' would leave an empty grid; use centre='grid'"
            )
        if centre not in ("grid", "sensor") and (isinstance(centre, str) or len(centre) != 3):
            raise InvalidValueError(
                f"centre must be 'grid', 'sensor' or three numbers, found {centre!r}"
            )
        self.flip_x_prob = flip_x_prob
        self.flip_y_prob = flip_y_prob
        self.rotation = (rotation[0], rotation[1])
        self.scale = (scale[0], scale[1])
        self.centre = centre

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draws one map and applies it to all that the sample holds."""
        specification: DatasetSpecification = results["specification"]
        grid = specification.grid
        matrix = self.matrix(
            grid,
            np.random.rand() < self.flip_x_prob,
            np.random.rand() < self.flip_y_prob,
            np.random.uniform(*self.rotation),
            np.random.uniform(*self.scale),
        )
        if np.array_equal(matrix, np.eye(4)):
            return results
        for key in ("cameras", "history_cameras"):
            if key in results:
                product = torch.from_numpy(matrix) @ results[key].augmentation.double()
                results[key] = replace(results[key], augmentation=product.float())
        if "voxel_labels" in results:
            results["voxel_labels"] = _resample(
                results["voxel_labels"], matrix, specification, specification.ignore_index
            )
        if "voxel_masks" in results:
            results["voxel_masks"] = {
                name: _resample(mask, matrix, specification, outside=False)
                for name, mask in results["voxel_masks"].items()
            }
        if "points" in results:
            points = results["points"].astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
            inside, _ = grid.indices(points)
            results["points"] = points[inside].astype(np.float32)
            results["point_labels"] = results["point_labels"][inside]
            results["point_uvd"] = results["point_uvd"][:, inside]
        return results

    def matrix(
        self, grid: VoxelGrid, flip_x: bool, flip_y: bool, degrees: float, scale: float
    ) -> np.ndarray:
        """Builds the map (4, 4) float64, reference frame -> augmented frame, of given draws."""
        if self.centre == "grid":
            low, high = grid.origin, grid.upper
            centre = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, 0.0])
        else:
            centre = np.zeros(3) if self.centre == "sensor" else np.array(self.centre, dtype=float)
        angle = np.deg2rad(degrees)
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        linear = scale * turn @ np.diag([-1.0 if flip_x else 1.0, -1.0 if flip_y else 1.0, 1.0])
        matrix = np.eye(4)
        matrix[:3, :3] = linear
        matrix[:3, 3] = centre - linear @ centre
        return matrix


def _resample(
    labels: np.ndarray, matrix: np.ndarray, specification: DatasetSpecification, outside: Any
) -> np.ndarray:
    """Looks up for each new voxel centre the old voxel that it comes from, ``outside`` if none."""
    grid = specification.grid
    if labels.shape != grid.shape:
        raise ValueError(
            f"voxel_labels have shape {labels.shape}, but the specification's grid is {grid.shape}"
        )
    inverse = np.linalg.inv(matrix)
    x, y, z = (grid.centres(axis) for axis in range(3))
    # The map does not mix the vertical axis with the others: two small tables address all voxels.
    old_x = inverse[0, 0] * x[:, None] + inverse[0, 1] * y[None, :] + inverse[0, 3]
    old_y = inverse[1, 0] * x[:, None] + inverse[1, 1] * y[None, :] + inverse[1, 3]
    old_z = inverse[2, 2] * z + inverse[2, 3]
    index_x, in_x = _axis_index(grid, old_x, 0)
    index_y, in_y = _axis_index(grid, old_y, 1)
    index_z, in_z = _axis_index(grid, old_z, 2)
    result = labels[index_x[:, :, None], index_y[:, :, None], index_z[None, None, :]]
    result[~(in_x & in_y)] = outside
    result[:, :, ~in_z] = outside
    return result


def _axis_index(grid: VoxelGrid, position: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    index = np.floor((position - grid.origin[axis]) / grid.voxel_size[axis]).astype(np.intp)
    inside = (index >= 0) & (index < grid.shape[axis])
    return np.clip(index, 0, grid.shape[axis] - 1), inside
