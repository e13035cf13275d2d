"""Network layers that several parts of HTCL share."""

from htcl.models.layers.deformable_conv2d import FiniteDeformConv2d
from htcl.models.layers.deformable_conv3d import DeformableConv3d
from htcl.models.layers.hourglass3d import Hourglass3D, conv_gn_relu_3d
from htcl.models.layers.hourglass_encoder import HourglassEncoder

__all__ = [
    "DeformableConv3d",
    "FiniteDeformConv2d",
    "Hourglass3D",
    "HourglassEncoder",
    "conv_gn_relu_3d",
]
