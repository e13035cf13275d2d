"""Names in a released checkpoint of layers that occur in several components."""

from __future__ import annotations

from htcl.checkpoint.key_rules import rules_below

# A (convolution, normalisation) pair that became a ``ConvModule``.
CONV_GN = [("0", "conv"), ("1", "gn")]
_CONV_BN = [("0", "conv"), ("1", "bn")]
# htcl.models.layers.hourglass3d.Hourglass3D
HOURGLASS = [
    *rules_below("conv1.0", "down1", CONV_GN),
    *rules_below("conv2.0", "mix1", CONV_GN),
    *rules_below("conv3.0", "down2", CONV_GN),
    *rules_below("conv4.0", "mix2", CONV_GN),
    *rules_below("redir1", "skip1", CONV_GN),
    *rules_below("redir2", "skip2", CONV_GN),
    *rules_below("conv5", "up2", _CONV_BN),
    *rules_below("conv6", "up1", _CONV_BN),
]
# htcl.models.layers.hourglass_encoder.HourglassEncoder
HOURGLASS_ENCODER = [
    *rules_below("0", "reduce", CONV_GN),
    *rules_below("2", "hourglass", HOURGLASS),
    *rules_below("3", "expand", CONV_GN),
    ("5", "project"),
]
