"""Which earlier frames are the history of a clip: T frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np

from htcl.errors import InvalidValueError

# A step length is a rounded number: 20 steps of 0.1 m are 2 m.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class HistorySpacing:
    """Chooses the earlier frames of a clip by their distance in frames or in metres.

    The attributes are keys of a data set. Distances in frames are times: at 10 Hz, 5 frames are
    0.5 s. Where there is no frame so far back, the earliest stands in.

    Attributes:
        num_history: Number of earlier frames, T - 1.
        history_stride: Distance in frames between neighbours (3: the frames t-9, t-6 and t-3), or
            the distance of each history frame to the present ((1, 5, 10): t-10, t-5 and t-1).
        history_metres: Takes the place of the stride: the k-th history frame is the latest one from
            which the camera has travelled at least k times so many metres along its path. So a car
            that stands still has its last way as history.
        history_max_frames: How many frames ``history_metres`` looks back at most. A stream keeps so
            many frames.

    Raises:
        InvalidValueError: If a value is out of range, or a list has not ``num_history`` distances.
    """

    num_history: int = 0
    history_stride: int | Sequence[int] = 1
    history_metres: float | None = None
    history_max_frames: int = 50

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.num_history < 0:
            raise InvalidValueError(f"num_history must be at least 0, found {self.num_history}")
        stride = self.history_stride
        if isinstance(stride, Sequence):
            # A tuple, so that equal spacings are equal whatever they were read from.
            object.__setattr__(self, "history_stride", tuple(stride))
        distances = np.atleast_1d(np.asarray(self.history_stride))
        if not (distances.dtype.kind == "i" and (np.diff(distances, prepend=0) > 0).all()):
            raise InvalidValueError(
                f"history_stride={self.history_stride!r}: expected a whole number of frames from 1 "
                "on, or a list of such distances to the present that rise, such as (1, 5, 10)"
            )
        metres = self.history_metres
        is_list = isinstance(stride, Sequence) and metres is None
        if self.num_history and is_list and len(distances) != self.num_history:
            raise InvalidValueError(
                f"history_stride={self.history_stride!r} has {len(distances)} distances, but "
                f"num_history is {self.num_history}: give one for each history frame, or one number"
            )
        if metres is not None and not (isinstance(metres, Real) and 0 < metres < np.inf):
            raise InvalidValueError(
                f"history_metres={metres!r}: expected a number above 0, or None for history_stride"
            )
        if not isinstance(self.history_max_frames, int) or self.history_max_frames < 1:
            raise InvalidValueError(
                f"history_max_frames={self.history_max_frames!r}: expected a whole number from 1 on"
            )

    @property
    def frames(self) -> tuple[int, ...]:
        """Distances of the T - 1 history frames to the present by ``history_stride``, rising."""
        if isinstance(self.history_stride, int):
            return tuple(self.history_stride * k for k in range(1, self.num_history + 1))
        return tuple(self.history_stride)

    @property
    def reach(self) -> int:
        """Largest distance of a history frame to the present, in frames."""
        if self.num_history == 0:
            return 0
        return self.history_max_frames if self.needs_poses else self.frames[-1]

    @property
    def needs_poses(self) -> bool:
        """Whether it takes poses to choose the frames."""
        return self.num_history > 0 and self.history_metres is not None

    def distances(self, earlier: int, poses: Sequence[np.ndarray] | None = None) -> list[int]:
        """Distances of the T - 1 history frames to the present, in frames, oldest first.

        Args:
            earlier: How many frames there are before the present.
            poses: Poses (4, 4) ``world_from_camera`` of the last frames, as many as there are
                within :attr:`reach`, the present last; needed with ``history_metres``.
        """
        if self.num_history == 0:
            return []
        wanted, metres = self.frames, self.history_metres
        if metres is not None:
            # The first is the present: what was travelled since each frame rises from there.
            positions = np.stack([pose[:3, 3] for pose in reversed(poses or ())])
            steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
            travelled = np.append(0.0, np.cumsum(steps))[: self.reach + 1]
            goals = metres * np.arange(1, self.num_history + 1) * (1 - _ROUNDING)
            found = np.searchsorted(travelled, goals)
            wanted = tuple(np.minimum(found, len(travelled) - 1).tolist())
        return [min(distance, earlier) for distance in reversed(wanted)]

    def changed(
        self,
        history_stride: int | Sequence[int] | None = None,
        history_metres: float | None = None,
        history_max_frames: int | None = None,
    ) -> HistorySpacing:
        """The same with other values where they are given; a stride takes the place of metres.

        Raises:
            InvalidValueError: If both stride and metres are given, or a limit has nothing to limit.
        """
        if history_stride is not None and history_metres is not None:
            raise InvalidValueError(
                f"history_stride={history_stride!r} and history_metres={history_metres!r} say the "
                "same thing in two ways: give one of them"
            )
        spacing = self
        if history_stride is not None:
            spacing = replace(spacing, history_stride=history_stride, history_metres=None)
        if history_metres is not None:
            spacing = replace(spacing, history_metres=history_metres)
        if history_max_frames is None:
            return spacing
        if spacing.history_metres is None:
            raise InvalidValueError(
                f"history_max_frames={history_max_frames!r} limits history_metres, which is not "
                "given: leave it out, or give history_metres"
            )
        return replace(spacing, history_max_frames=history_max_frames)
