"""Names of the 3D hourglass in a released checkpoint.

The hourglass occurs in several components, so that its rules are made for given roots.
"""

from __future__ import annotations

from htcl.checkpoint.key_rules import KeyRule


def conv_gn_rules(released_root: str, our_root: str) -> list[KeyRule]:
    """Rules of one released (convolution, normalisation) pair that became a ``ConvModule``.

    Args:
        released_root: Dotted released name of the pair, whose members are ``0`` and ``1``.
        our_root: Dotted name of our module.
    """
    return [
        KeyRule(f"{released_root}.0", f"{our_root}.conv"),
        KeyRule(f"{released_root}.1", f"{our_root}.gn"),
    ]


def hourglass_rules(released_root: str, our_root: str) -> list[KeyRule]:
    """Rules of one :class:`~htcl.models.layers.hourglass3d.Hourglass3D`.

    Args:
        released_root: Dotted released name of the hourglass, without a final dot.
        our_root: Dotted name of our hourglass.
    """
    rules = [
        KeyRule(f"{released_root}.conv5.0", f"{our_root}.up2.conv"),
        KeyRule(f"{released_root}.conv5.1", f"{our_root}.up2.bn"),
        KeyRule(f"{released_root}.conv6.0", f"{our_root}.up1.conv"),
        KeyRule(f"{released_root}.conv6.1", f"{our_root}.up1.bn"),
    ]
    for released, ours in (
        ("conv1.0", "down1"),
        ("conv2.0", "mix1"),
        ("conv3.0", "down2"),
        ("conv4.0", "mix2"),
        ("redir1", "skip1"),
        ("redir2", "skip2"),
    ):
        rules += conv_gn_rules(f"{released_root}.{released}", f"{our_root}.{ours}")
    return rules


def hourglass_encoder_rules(released_root: str, our_root: str) -> list[KeyRule]:
    """Rules of one :class:`~htcl.models.layers.hourglass_encoder.HourglassEncoder`.

    Args:
        released_root: Dotted released name of the stack, whose members are ``0`` ... ``5``.
        our_root: Dotted name of our encoder.
    """
    return [
        *conv_gn_rules(f"{released_root}.0", f"{our_root}.reduce"),
        *hourglass_rules(f"{released_root}.2", f"{our_root}.hourglass"),
        *conv_gn_rules(f"{released_root}.3", f"{our_root}.expand"),
        KeyRule(f"{released_root}.5", f"{our_root}.project"),
    ]
