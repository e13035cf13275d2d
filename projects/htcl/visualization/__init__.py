"""Pictures, videos, meshes and pages of voxel predictions. Nothing here knows of models."""

from __future__ import annotations

from htcl.visualization.comparison import render_comparison
from htcl.visualization.overview import render_overview
from htcl.visualization.result_file import FrameResult, build_frame_result

__all__ = ["FrameResult", "build_frame_result", "render_comparison", "render_overview"]
