"""Names of the 3D hourglass in a released checkpoint.

The hourglass occurs in several components, so that its rules are made for given roots: dotted
names without a final dot.
"""

from __future__ import annotations

from htcl.checkpoint.key_rules import KeyRule


def conv_gn_rules(released_root: str, our_root: str) -> list[KeyRule]:
    """Rules of one released (convolution, normalisation) pair that became a ``ConvModule``."""
    return [
        KeyRule(f"{released_root}.0", f"{our_root}.conv"),
        KeyRule(f"{released_root}.1", f"{our_root}.gn"),
    ]


def hourglass_rules(released_root: str, our_root: str) -> list[KeyRule]:
    """Rules of one :class:`~htcl.models.layers.hourglass3d.Hourglass3D`."""
    return [
        *conv_gn_rules(f"{released_root}.conv1.0", f"{our_root}.down1"),
        *conv_gn_rules(f"{released_root}.conv2.0", f"{our_root}.mix1"),
        *conv_gn_rules(f"{released_root}.conv3.0", f"{our_root}.down2"),
        *conv_gn_rules(f"{released_root}.conv4.0", f"{our_root}.mix2"),
        *conv_gn_rules(f"{released_root}.redir1", f"{our_root}.skip1"),
        *conv_gn_rules(f"{released_root}.redir2", f"{our_root}.skip2"),
        KeyRule(f"{released_root}.conv5.0", f"{our_root}.up2.conv"),
        KeyRule(f"{released_root}.conv5.1", f"{our_root}.up2.bn"),
        KeyRule(f"{released_root}.conv6.0", f"{our_root}.up1.conv"),
        KeyRule(f"{released_root}.conv6.1", f"{our_root}.up1.bn"),
    ]


def hourglass_encoder_rules(released_root: str, our_root: str) -> list[KeyRule]:
    """Rules of one :class:`~htcl.models.layers.hourglass_encoder.HourglassEncoder`."""
    return [
        *conv_gn_rules(f"{released_root}.0", f"{our_root}.reduce"),
        *hourglass_rules(f"{released_root}.2", f"{our_root}.hourglass"),
        *conv_gn_rules(f"{released_root}.3", f"{our_root}.expand"),
        KeyRule(f"{released_root}.5", f"{our_root}.project"),
    ]
