"""Heads."""

from htcl.models.heads.occupancy_head import OccupancyHead
from htcl.models.heads.point_supervision import PointSupervision

__all__ = ["OccupancyHead", "PointSupervision"]
