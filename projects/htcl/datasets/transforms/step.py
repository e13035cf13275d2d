"""What all steps of the pipeline share."""

from __future__ import annotations

from mmcv.transforms import BaseTransform


class Step(BaseTransform):
    """A step that shows its settings when it is printed."""

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in vars(self).items())
        return f"{type(self).__name__}({settings})"
