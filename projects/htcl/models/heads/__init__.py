"""Heads."""

from htcl.models.heads.boundary_head import BoundaryHead
from htcl.models.heads.occupancy_head import OccupancyHead
from htcl.models.heads.point_head import PointHead

__all__ = ["BoundaryHead", "OccupancyHead", "PointHead"]
