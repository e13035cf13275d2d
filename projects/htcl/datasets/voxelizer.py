"""Makes completion ground truth from labelled lidar scans and poses, as SemanticKITTI's was made.

Definitions (J. Behley et al., "SemanticKITTI: A Dataset for Semantic Scene Understanding of LiDAR
Sequences", ICCV 2019, section 5, says what the files mean; the numbers are those of the authors'
tool, https://github.com/jbehley/voxelizer, files ``voxelize_utils.cpp``, ``VoxelGrid.cpp`` and
``semantic_kitti.cfg``, MIT licence; no code is taken over):

* Only points at ``min_range`` to ``max_range`` from their own sensor count, and none of the car
  itself, those in ``car_box``. All scans are moved into the reference frame.
* ``bin``: voxels whose majority label over the current scan alone is not 0 ("unlabelled").
* ``label``: majority raw label over all scans. Of equally frequent labels the smallest id wins, so
  0 ("unlabelled") wins its ties; with this rule, and index arithmetic in float32, ``bin`` equals
  the real files.
* A voxel is occupied if any point falls into it, labelled or not.
* ``occluded``: voxels that the current sensor position does not see: an occupied voxel lies between
  or is the voxel itself. So ``bin`` and ``label`` lie inside ``occluded``.
* ``invalid``: voxels that no used sensor position sees and that are not occupied. So ``invalid``
  lies inside ``occluded``.

Sight is a property of free space, not of laser returns: the sky that no laser beam reaches is still
seen. It is decided by rays from the sensor to the centre of every voxel on the surface of the grid;
a voxel is seen if a ray that crosses it is not stopped earlier. Every voxel is crossed by a ray,
because the ray to the boundary voxel behind its centre passes within half a voxel of that centre
(J. Amanatides and A. Woo, "A Fast Voxel Traversal Algorithm for Ray Tracing", Eurographics 1987,
for the stepping). Shape letters: N points, S scans, X front, Y left, Z up (voxels).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.geometry import VoxelGrid

_FIRST_MOVING = 252  # first id of the classes that SemanticKITTI labels as moving

# The car under the lidar: x from and to, |y| below, metres in the lidar frame.
CAR_BOX = (-2.0, 3.0, 2.0)
_NO_BOX = (0.0, 0.0, 0.0)


class LidarScan(NamedTuple):
    """One labelled scan.

    Attributes:
        points: (N, 3) or wider, the first three columns x, y, z in the scan's lidar frame, metres.
        labels: (N,) raw labels; the class is in the low 16 bits.
        pose: (4, 4) ``world_from_lidar``.
    """

    points: np.ndarray
    labels: np.ndarray
    pose: np.ndarray


class VoxelizedFrame(NamedTuple):
    """Ground truth of one frame, each (X, Y, Z): ``label`` uint16, 0 empty, the others bool."""

    bin: np.ndarray
    label: np.ndarray
    invalid: np.ndarray
    occluded: np.ndarray


def voxelize(
    scans: Sequence[LidarScan | tuple[np.ndarray, np.ndarray, np.ndarray]],
    reference_pose: np.ndarray,
    current_index: int,
    grid: VoxelGrid = SEMANTICKITTI.stored_grid,
    min_range: float = 2.5,
    max_range: float = 70.0,
    view_stride: int = 1,
    drop_moving: bool = False,
    car_box: tuple[float, float, float] | None = CAR_BOX,
) -> VoxelizedFrame:
    """Makes the ground truth of one frame.

    Args:
        scans: S scans, each a :class:`LidarScan` or such a tuple.
        reference_pose: (4, 4) ``world_from_lidar`` of the frame that the grid is fixed to, usually
            ``scans[current_index].pose``.
        current_index: Which scan is the current one (makes ``bin`` and ``occluded``).
        grid: The voxel grid.
        min_range: Nearest distance of a used point, metres.
        max_range: Farthest distance, metres.
        view_stride: Use every n-th scan, counted from the current one, as a viewpoint for
            ``invalid``; neighbouring scans see almost the same, so larger values save time.
        drop_moving: Leave out points of moving classes (252-259) of all scans but the current one.
            False is SemanticKITTI's way, where moving objects leave traces.
        car_box: (back, front, side): points with back < x < front and ``|y|`` < side in their own
            lidar frame, metres, are of the car and left out; None: there is no car.

    Raises:
        ValueError: If there is no scan, the index is outside, or a scan has not one label a point.
    """
    if not scans or not 0 <= current_index < len(scans):
        raise ValueError(f"current_index {current_index} is outside the {len(scans)} given scans")
    if view_stride < 1:
        raise ValueError(f"view_stride must be at least 1, found {view_stride}")
    reference_from_world = np.linalg.inv(reference_pose)

    votes, sensors = [], []
    for number, (points, labels, pose) in enumerate(scans):
        if len(points) != len(labels):
            raise ValueError(f"scan {number}: {len(points)} points but {len(labels)} labels")
        reference_from_scan = reference_from_world @ pose
        votes.append(
            _scan_votes(
                np.ascontiguousarray(points, dtype=np.float32),
                np.ascontiguousarray(labels, dtype=np.uint32),
                reference_from_scan.astype(np.float32),
                np.asarray(grid.origin, dtype=np.float32),
                np.asarray(grid.voxel_size, dtype=np.float32),
                grid.shape,
                (min_range, max_range),
                car_box or _NO_BOX,
                _FIRST_MOVING if drop_moving and number != current_index else 1 << 16,
            )
        )
        sensors.append(grid.to_voxels(reference_from_scan[:3, 3]))

    current = majority_labels(votes[current_index], grid)
    every_vote = np.concatenate(votes)
    label = majority_labels(every_vote, grid)
    occupied = np.zeros(grid.num_voxels, dtype=bool)
    occupied[every_vote >> 16] = True
    occupied = occupied.reshape(grid.shape)
    seen = visible_voxels(occupied, sensors[current_index])
    occluded = ~seen | occupied
    for number in range(current_index % view_stride, len(scans), view_stride):
        if number != current_index:
            seen |= visible_voxels(occupied, sensors[number])
    return VoxelizedFrame(current > 0, label, ~(seen | occupied), occluded)


def majority_labels(votes: np.ndarray, grid: VoxelGrid) -> np.ndarray:
    """Returns the most frequent class of every voxel, (X, Y, Z) uint16.

    Of equally frequent ones it is the smallest; without points 0.

    Args:
        votes: (N,) int64, one a point: ``flat voxel index * 65536 + raw class``; the flat index is
            in C order of (X, Y, Z).
        grid: The voxel grid.
    """
    kinds, counts = np.unique(votes, return_counts=True)
    voxels, classes = kinds >> 16, kinds & 0xFFFF
    ranked = np.lexsort((classes, -counts, voxels))
    voxels, classes = voxels[ranked], classes[ranked]
    winners = np.diff(voxels, prepend=-1) > 0
    result = np.zeros(grid.num_voxels, dtype=np.uint16)
    result[voxels[winners]] = classes[winners]
    return result.reshape(grid.shape)


def visible_voxels(occupied: np.ndarray, sensor: np.ndarray) -> np.ndarray:
    """Returns the voxels that a point sees, the first occupied one on a ray included; (X, Y, Z).

    Args:
        occupied: (X, Y, Z) bool.
        sensor: (3,) viewpoint in continuous voxel coordinates (voxel i spans i to i + 1); may lie
            outside the grid.
    """
    state = (occupied.view(np.uint8) * _OCCUPIED).reshape(-1)
    _cast_rays(state, *occupied.shape, *np.asarray(sensor, dtype=np.float64))
    return (state & _SEEN).view(bool).reshape(occupied.shape)


@numba.njit(cache=True, nogil=True)
def _scan_votes(
    points: np.ndarray,
    labels: np.ndarray,
    matrix: np.ndarray,
    origin: np.ndarray,
    voxel_size: np.ndarray,
    shape: tuple[int, int, int],
    limits: tuple[float, float],
    car_box: tuple[float, float, float],
    end_class: int,
) -> np.ndarray:
    """Votes (see :func:`majority_labels`) of a scan's points in range and in the grid; float32."""
    votes = np.empty(len(points), dtype=np.int64)
    count = 0
    index = np.empty(3, dtype=np.int64)
    for n in range(len(points)):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        distance = np.sqrt(np.float64(x) ** 2 + np.float64(y) ** 2 + np.float64(z) ** 2)
        raw = np.int64(labels[n] & 0xFFFF)
        inside = limits[0] <= distance <= limits[1] and raw < end_class
        inside &= not (car_box[0] < x < car_box[1] and abs(y) < car_box[2])
        for axis in range(3):
            moved = (
                matrix[axis, 0] * x + matrix[axis, 1] * y + matrix[axis, 2] * z + matrix[axis, 3]
            )
            index[axis] = np.int64(np.floor((moved - origin[axis]) / voxel_size[axis]))
            inside &= 0 <= index[axis] < shape[axis]
        if inside:
            flat = (index[0] * shape[1] + index[1]) * shape[2] + index[2]
            votes[count] = (flat << 16) | raw
            count += 1
    return votes[:count]


# Bits of the ray caster's working array: both facts of a voxel come in one memory access.
_SEEN = np.uint8(1)
_OCCUPIED = np.uint8(2)


@numba.njit(cache=True, nogil=True)
def _axis_entry(start: float, direction: float, size: int) -> float:
    """Ray parameter (0 start, 1 target) at which a ray enters the grid along one axis."""
    if 0.0 <= start < size:
        return 0.0
    if direction == 0.0:
        return np.inf
    return ((0.0 if direction > 0.0 else size) - start) / direction


@numba.njit(cache=True, nogil=True)
def _axis_setup(
    start: float, direction: float, entry: float, target: int, size: int
) -> tuple[int, int, float, float]:
    """Along one axis: start voxel, step, ray parameters of the first border and between borders."""
    # The clamp repairs rounding at the border and never moves a start by more than that.
    cell = min(max(int(np.floor(start + entry * direction)), 0), size - 1)
    if cell == target:
        return cell, 0, np.inf, np.inf
    step = 1 if target > cell else -1
    border = cell + 1 if step > 0 else cell
    return cell, step, (border - start) / direction, abs(1.0 / direction)


@numba.njit(cache=True, nogil=True)
def _cast_ray(
    state: np.ndarray,
    size_x: int,
    size_y: int,
    size_z: int,
    sx: float,
    sy: float,
    sz: float,
    tx: int,
    ty: int,
    tz: int,
) -> None:
    """Marks the voxels on the ray from s to the centre of voxel t until an occupied one ends it."""
    # Plain numbers: with tuples numba makes this a seventh slower.
    dx, dy, dz = tx + 0.5 - sx, ty + 0.5 - sy, tz + 0.5 - sz
    entry = max(
        _axis_entry(sx, dx, size_x), _axis_entry(sy, dy, size_y), _axis_entry(sz, dz, size_z)
    )
    if entry >= 1.0:
        return
    x, step_x, next_x, delta_x = _axis_setup(sx, dx, entry, tx, size_x)
    y, step_y, next_y, delta_y = _axis_setup(sy, dy, entry, ty, size_y)
    z, step_z, next_z, delta_z = _axis_setup(sz, dz, entry, tz, size_z)
    flat = (x * size_y + y) * size_z + z
    stride_x, stride_y = step_x * size_y * size_z, step_y * size_z
    # Counting the borders that are left ends the ray in its target voxel whatever the rounding.
    left_x, left_y, left_z = abs(tx - x), abs(ty - y), abs(tz - z)
    while True:
        state[flat] |= _SEEN
        if state[flat] & _OCCUPIED:
            return
        if next_x < next_y and next_x < next_z:
            flat += stride_x
            next_x += delta_x
            left_x -= 1
            if left_x == 0:
                next_x = np.inf
        elif next_y < next_z:
            flat += stride_y
            next_y += delta_y
            left_y -= 1
            if left_y == 0:
                next_y = np.inf
        elif left_z > 0:
            flat += step_z
            next_z += delta_z
            left_z -= 1
            if left_z == 0:
                next_z = np.inf
        else:
            return


@numba.njit(cache=True, nogil=True)
def _cast_rays(
    state: np.ndarray, size_x: int, size_y: int, size_z: int, sx: float, sy: float, sz: float
) -> None:
    """Casts a ray to every voxel on the six faces of the grid."""
    for x in range(size_x):
        x_face = x in (0, size_x - 1)
        for y in range(size_y):
            step = 1 if x_face or y in (0, size_y - 1) or size_z == 1 else size_z - 1
            for z in range(0, size_z, step):
                _cast_ray(state, size_x, size_y, size_z, sx, sy, sz, x, y, z)
