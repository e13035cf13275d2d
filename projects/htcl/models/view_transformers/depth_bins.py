"""The metric depth axis, which losses and views share and which therefore lives in ``htcl.ops``."""

from __future__ import annotations

from htcl.ops.depth_bins import DepthBins

__all__ = ["DepthBins"]
