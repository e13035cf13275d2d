"""What numbers of real cameras, poses and scans never are: the one place of these bounds.

They are wide. KITTI, KITTI-360, nuScenes and the synthetic streets stay far inside
(``docs/data.md`` has the table); what is outside is a file in other units, with exchanged entries
or damaged digits, and would train a network on geometry that is not there. Frames: camera x right,
y down, z front; reference frame (of the voxels) x front, y left, z up; metres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from htcl.errors import InvalidValueError

# Pixels; KITTI 707-722, KITTI-360 553, nuScenes 809-1273, the streets 298-304.
FOCAL_LENGTH = (1.0, 1e5)
# Metres between left and right camera; KITTI 0.53-0.54, KITTI-360 0.59, the streets 0.54.
BASELINE = (0.01, 10.0)
# Metres between a camera and the origin of the reference frame; all these rigs below 2.
MOUNTING = 10.0
# Degrees between a camera's vertical and that of the reference frame; all these rigs below 5.
TILT = 60.0
# Where the principal point lies, in parts of the image's width and height; real ones are at
# 0.48-0.52 and 0.49-0.64.
PRINCIPAL_POINT = ((0.3, 0.7), (0.05, 0.95))
# Metres between the poses of neighbouring frames: 300 m/s at KITTI's 10 Hz, 60 m/s at the 2 Hz of
# nuScenes' key frames. In KITTI's sequences 00 and 08 it is 1.4 at the most.
STEP = 30.0
# Metres of a pose in its world: more than UTM's northings.
WORLD = 1e7
# Metres of a lidar point from its sensor; KITTI's see 120, nuScenes' 100, none a kilometre.
LIDAR_RANGE = 1e3
# Files carry six or more digits; this passes every real rotation and refuses mixed-up rows.
ROTATION_ERROR = 1e-3


def check_numbers(values: np.ndarray, where: str) -> None:
    """Raises InvalidValueError if numbers are not finite, or too large for any of the bounds."""
    largest = max(FOCAL_LENGTH[1] * BASELINE[1], WORLD)
    wrong = values[~(np.abs(values) <= largest)]
    if wrong.size:
        raise InvalidValueError(
            f"{where}: values must be finite and of metres or pixels, at most {largest:g}, "
            f"found {wrong.ravel()[0]:g}; the file is damaged, copy it anew"
        )


def check_rigid(matrix: np.ndarray, where: str) -> None:
    """Raises InvalidValueError if a (4, 4) matrix is no rigid motion."""
    if np.shape(matrix) != (4, 4):
        raise InvalidValueError(f"{where}: shape {np.shape(matrix)}, expected a (4, 4) matrix")
    matrix = np.asarray(matrix, dtype=np.float64)
    check_numbers(matrix, where)
    rotation = matrix[:3, :3]
    error = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if error > ROTATION_ERROR or np.linalg.det(rotation) < 0:
        raise InvalidValueError(
            f"{where}: the 3x3 part is not a rotation (deviation {error:.3g}); "
            "expected a rigid 3x4 transform"
        )
    if (matrix[3] != (0, 0, 0, 1)).any():
        raise InvalidValueError(
            f"{where}: the last row is {matrix[3].tolist()}, expected 0 0 0 1 of a rigid transform"
        )


def check_projection(matrix: np.ndarray, where: str) -> None:
    """Checks a projection (4, 4) or (3, 4), rectified camera point -> homogeneous pixel.

    Raises:
        InvalidValueError: If focal lengths are not positive pixels, it is singular, is not of the
            form of a rectified camera, or leads farther from the first camera than any rig.
    """
    check_numbers(np.asarray(matrix), where)
    focal = matrix[[0, 1], [0, 1]]
    low, high = FOCAL_LENGTH
    if not ((focal >= low) & (focal <= high)).all():
        raise InvalidValueError(
            f"{where}: focal lengths must be positive pixels, {low:g} to {high:g}, found "
            f"{focal[0]:g} and {focal[1]:g}; take the calibration of the images as they are stored"
        )
    rest = np.abs(matrix[:3, :3] - np.diag([*focal, 1.0]))
    # The principal point alone may be there; skew is 0 in rectified images.
    if max(rest[2].max(), rest[0, 1] / focal[0], rest[1, 0] / focal[1]) > ROTATION_ERROR:
        raise InvalidValueError(
            f"{where}: expected fx 0 cx tx, 0 fy cy ty, 0 0 1 tz of a rectified camera, found "
            f"{matrix[:3].tolist()}; entries are missing or exchanged"
        )
    offset = np.abs(matrix[:3, 3] / [*focal, 1.0]).max()
    if offset > BASELINE[1]:
        raise InvalidValueError(
            f"{where}: the camera would stand {offset:.6g} m from the first one, expected "
            f"{BASELINE[1]:g} m at the most; is the calibration in millimetres? Give it in metres"
        )


def check_pair(left: np.ndarray, right: np.ndarray, where: str) -> None:
    """Checks the projections of a rectified pair, both (4, 4), named ``where``, such as 'P2, P3'.

    Raises:
        InvalidValueError: If left and right are exchanged or at one place, stand too far from each
            other, or look through different intrinsics.
    """
    focal = left[0, 0]
    baseline = (left[0, 3] - right[0, 3]) / focal
    low, high = BASELINE
    if baseline <= -low:
        raise InvalidValueError(
            f"{where}: the right camera stands {-baseline:.4g} m to the left of the left one: the "
            "two are exchanged; exchange them back"
        )
    if not low <= baseline <= high:
        raise InvalidValueError(
            f"{where}: the baseline is {baseline:.6g} m, expected {low:g} to {high:g} m; take the "
            "calibration of the stereo pair, in metres (a single camera has a .yml file, "
            "docs/inference.md)"
        )
    difference = np.abs(left[:3, :3] - right[:3, :3]).max()
    if difference > 1.0:
        raise InvalidValueError(
            f"{where}: the intrinsics of the two differ by {difference:.4g} pixels, expected the "
            "same ones of a rectified pair; rectify the images and give the common intrinsics"
        )


def check_mounting(reference_from_camera: np.ndarray, where: str) -> None:
    """Checks where a camera (4, 4) is in the reference frame.

    Raises:
        InvalidValueError: If it is not rigid, not upright (as if inverted), or too far away.
    """
    check_rigid(reference_from_camera, where)
    down = math.degrees(math.acos(np.clip(-reference_from_camera[2, 1], -1, 1)))
    if down > TILT:
        raise InvalidValueError(
            f"{where}: the camera would be tilted by {down:.0f} degrees, expected {TILT:g} at the "
            "most; is the matrix inverted? It takes a point of the lidar (x front, y left, z up) "
            "to the camera (x right, y down, z front)"
        )
    distance = float(np.linalg.norm(reference_from_camera[:3, 3]))
    if distance > MOUNTING:
        raise InvalidValueError(
            f"{where}: the camera would stand {distance:.6g} m from the lidar, expected "
            f"{MOUNTING:g} m at the most; is the calibration in millimetres? Give it in metres"
        )


def check_image_size(matrix: np.ndarray, size: tuple[int, int], where: str) -> None:
    """Checks that a projection (4, 4) belongs to images of (height, width) pixels.

    Raises:
        InvalidValueError: If its principal point is not near the middle of the image.
    """
    height, width = size
    for name, place, length, (low, high) in (
        ("x", matrix[0, 2], width, PRINCIPAL_POINT[0]),
        ("y", matrix[1, 2], height, PRINCIPAL_POINT[1]),
    ):
        # The centre of the first pixel is 0.
        if not low <= (place + 0.5) / length <= high:
            raise InvalidValueError(
                f"{where}: the principal point is at {name} = {place:.6g} of images of {width} x "
                f"{height} pixels, expected {low:.0%} to {high:.0%} of the {length} pixels: the "
                "calibration belongs to images of another size. Give the one of these images, or "
                "the images that it was made for"
            )


def check_track(poses: Sequence[np.ndarray] | np.ndarray, where: str, first_line: int = 1) -> None:
    """Checks the poses (N, 4, 4) of neighbouring frames, each rigid, as lines of a file.

    Raises:
        InvalidValueError: If one jumps away from the one before it; its line is named.
    """
    places = np.asarray(poses)[:, :3, 3]
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    far = np.flatnonzero(~(steps <= STEP))
    if far.size:
        line = int(far[0]) + first_line
        raise InvalidValueError(
            f"{where}: from line {line} to line {line + 1} the camera jumps by {steps[far[0]]:.6g} "
            f"m, expected {STEP:g} m at the most between neighbouring frames ({far.size} such "
            "jumps); lines are missing, exchanged or damaged: copy the file anew"
        )


def check_points(points: np.ndarray, where: str) -> None:
    """Checks points (N, 3) of a lidar scan, metres.

    Raises:
        InvalidValueError: If there is none, one is not finite or too far, or all are at the sensor.
    """
    if not len(points):
        raise InvalidValueError(f"{where}: lidar scan holds no point; copy the file anew")
    if not np.isfinite(points).all():
        raise InvalidValueError(
            f"{where}: lidar scan holds coordinates that are not finite; copy the file anew"
        )
    farthest = float(np.abs(points).max())
    if farthest == 0:
        raise InvalidValueError(
            f"{where}: lidar scan holds {len(points)} points that are all 0 0 0, as a file whose "
            "content was lost; copy it anew"
        )
    if farthest > LIDAR_RANGE:
        raise InvalidValueError(
            f"{where}: lidar scan holds a coordinate of {farthest:.6g} m, expected "
            f"{LIDAR_RANGE:g} m at the most (float32 x, y, z, remission in metres); the file is "
            "damaged or of another format"
        )
