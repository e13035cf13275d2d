"""Training losses: each is a registered module of the list ``model.losses``."""

from htcl.losses.boundary_distance import BoundaryDistance
from htcl.losses.depth_supervision import DepthSupervision
from htcl.losses.geometric_scal import GeometricScal
from htcl.losses.loss import Loss
from htcl.losses.point_cross_entropy import PointCrossEntropy
from htcl.losses.point_lovasz import PointLovasz
from htcl.losses.semantic_scal import SemanticScal
from htcl.losses.voxel_cross_entropy import VoxelCrossEntropy, inverse_log_frequency
from htcl.losses.voxel_lovasz import VoxelLovasz
from htcl.losses.voxel_prediction import VoxelPrediction

__all__ = [
    "BoundaryDistance",
    "DepthSupervision",
    "GeometricScal",
    "Loss",
    "PointCrossEntropy",
    "PointLovasz",
    "SemanticScal",
    "VoxelCrossEntropy",
    "VoxelLovasz",
    "VoxelPrediction",
    "inverse_log_frequency",
]
