"""Prediction of a live camera: one frame after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from htcl.apis.clip_builder import ClipBuilder
from htcl.apis.frame_source import Frame
from htcl.errors import InvalidValueError
from htcl.visualization import FrameResult


class InferenceStream:
    """Takes frames as they come and keeps the history; made by ``HTCLInferencer.stream``.

    ``builder`` makes a sample of each frame, ``predict`` its result; if the camera is ``static``,
    no poses are needed.
    """

    def __init__(
        self, predict: Callable[[dict[str, Any]], FrameResult], builder: ClipBuilder, static: bool
    ) -> None:
        self._predict = predict
        self._builder = builder
        self._static = static
        self._numbers: list[int] = []

    def step(
        self,
        left: np.ndarray,
        right: np.ndarray | None = None,
        pose: np.ndarray | None = None,
        number: int | None = None,
    ) -> FrameResult:
        """Predicts the next frame; the result has what is needed to draw it.

        Args:
            left: RGB uint8 (height, width, 3).
            right: The same of the right camera, if the model is a stereo one.
            pose: (4, 4) ``world_from_camera``, if the model needs poses and the camera moves.
            number: Number of the frame. With it, a lost frame is noticed: the numbers must go up by
                the same step each time.

        Raises:
            InvalidValueError: If something is missing, does not fit, or a frame was lost.
        """
        last = self._numbers[-1] if self._numbers else -1
        number = last + 1 if number is None else int(number)
        if self._numbers and number <= last:
            raise InvalidValueError(
                f"frame {number} comes after frame {last}: numbers must go up; start a new stream "
                "for another drive"
            )
        if len(self._numbers) > 1 and number - last != last - self._numbers[-2]:
            raise InvalidValueError(
                f"a gap in the history: after frame {last} comes {number}, expected "
                f"{2 * last - self._numbers[-2]}; start a new stream after a loss"
            )
        name = f"{number:06d}"
        if self._static and pose is None:
            pose = np.eye(4)
        sample = self._builder.push(
            Frame(name, f"left frame {name}", np.asarray(left)),
            None if right is None else Frame(name, f"right frame {name}", np.asarray(right)),
            pose,
        )
        # Only now is the frame part of the history: one that was refused may be given again.
        self._numbers = [*self._numbers[-1:], number]
        return self._predict(sample)
