"""Where the frames of a sequence do not follow one another, whatever their numbers say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from htcl.datasets.sample_info import SampleInfo
from htcl.errors import InvalidValueError


@dataclass(frozen=True)
class HistoryGaps:
    """Finds jumps of time or pose between neighbouring frames.

    The attributes are keys of a data set with ``history_gap_`` before their names.

    Attributes:
        seconds: More time between two frames is a gap; None: no time is.
        metres: A longer way between the poses of their first cameras is a gap; None: no way is.

    Raises:
        InvalidValueError: If a value is not above 0.
    """

    seconds: float | None = None
    metres: float | None = None

    def __post_init__(self) -> None:
        """Checks the values."""
        for name, value in (("seconds", self.seconds), ("metres", self.metres)):
            if value is not None and not value > 0:
                raise InvalidValueError(
                    f"history_gap_{name}={value!r}: expected a number above 0, or None for no limit"
                )

    def between(self, earlier: SampleInfo, later: SampleInfo) -> bool:
        """Whether a gap is between two frames; what is not known of them makes none."""
        before, after = earlier.get("time"), later.get("time")
        limit = np.inf if self.seconds is None else self.seconds
        if before is not None and after is not None and after - before > limit:
            return True
        poses = [frame["cameras"][0].get("world_from_camera") for frame in (earlier, later)]
        if self.metres is None or poses[0] is None or poses[1] is None:
            return False
        return bool(np.linalg.norm(poses[1][:3, 3] - poses[0][:3, 3]) > self.metres)
