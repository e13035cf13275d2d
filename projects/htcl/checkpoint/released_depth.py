"""Names of the image branch, the depth networks and the lifting in a released checkpoint."""

from __future__ import annotations

from htcl.checkpoint.key_rules import KeyRule
from htcl.checkpoint.released_hourglass import conv_gn_rules, hourglass_rules

_VIEW = "img_view_transformer"
_NET = f"{_VIEW}.depth_net"
_ASPP, _BRANCHES = f"{_NET}.depth_conv.3", "depth_net.aspp.branches"
_STEREO = f"{_VIEW}.leamodel"
_FUSION = f"{_VIEW}.volume_interaction"


def _gate_rules(name: str) -> list[KeyRule]:
    """Rules of the camera gate of the ``depth`` or ``context`` branch."""
    return [
        KeyRule(f"{_NET}.{name}_mlp.fc1", f"depth_net.{name}_gate.fc1"),
        KeyRule(f"{_NET}.{name}_mlp.fc2", f"depth_net.{name}_gate.fc2"),
        KeyRule(f"{_NET}.{name}_se.conv_reduce", f"depth_net.{name}_gate.reduce"),
        KeyRule(f"{_NET}.{name}_se.conv_expand", f"depth_net.{name}_gate.expand"),
    ]


def _cell_rules(released: str, ours: str) -> list[KeyRule]:
    """Rules of the cells of a searched network."""
    return [
        KeyRule(f"{released}.cells.#.pre_preprocess", f"{ours}.cells.#.project_prev_prev"),
        KeyRule(f"{released}.cells.#.preprocess", f"{ours}.cells.#.project_prev"),
        KeyRule(f"{released}.cells.#._ops.#", f"{ours}.cells.#.branches.#"),
    ]


RULES: list[KeyRule] = [
    KeyRule("img_backbone", "img_backbone"),
    KeyRule("img_neck", "img_neck"),
    # Monocular depth.
    KeyRule(f"{_NET}.bn", "depth_net.camera_norm"),
    *conv_gn_rules(f"{_NET}.reduce_conv", "depth_net.reduce"),
    KeyRule(f"{_NET}.context_conv", "depth_net.context_conv"),
    *_gate_rules("context"),
    *_gate_rules("depth"),
    *(KeyRule(f"{_NET}.depth_conv.{i}", f"depth_net.depth_blocks.{i}") for i in range(3)),
    KeyRule(f"{_ASPP}.global_avg_pool.1", "depth_net.aspp.pool.conv"),
    KeyRule(f"{_ASPP}.global_avg_pool.2", "depth_net.aspp.pool.gn"),
    *(KeyRule(f"{_ASPP}.aspp{i + 1}.atrous_conv", f"{_BRANCHES}.{i}.conv") for i in range(4)),
    *(KeyRule(f"{_ASPP}.aspp{i + 1}.bn", f"{_BRANCHES}.{i}.bn") for i in range(4)),
    KeyRule(f"{_ASPP}.conv1", "depth_net.aspp.fuse.conv"),
    KeyRule(f"{_ASPP}.bn1", "depth_net.aspp.fuse.bn"),
    KeyRule(f"{_NET}.depth_conv.4", "depth_net.deform"),
    KeyRule(f"{_NET}.depth_conv.4.conv_offset", "depth_net.deform_offset"),
    KeyRule(f"{_NET}.depth_conv.5", "depth_net.depth_conv"),
    # Stereo depth.
    *(KeyRule(f"{_STEREO}.feature.stem{i}", f"stereo.features.stems.{i}") for i in range(3)),
    *_cell_rules(f"{_STEREO}.feature", "stereo.features"),
    KeyRule(f"{_STEREO}.feature.last_3", "stereo.features.head"),
    *(KeyRule(f"{_STEREO}.matching.stem{i}", f"stereo.matching.stems.{i}") for i in range(2)),
    *_cell_rules(f"{_STEREO}.matching", "stereo.matching"),
    *(KeyRule(f"{_STEREO}.matching.conv{i + 1}", f"stereo.matching.fusions.{i}") for i in range(2)),
    KeyRule(f"{_STEREO}.matching.last_6", "stereo.matching.reduce"),
    KeyRule(f"{_STEREO}.matching.last_3", "stereo.matching.head"),
    # Fusion of the two.
    *conv_gn_rules(f"{_FUSION}.dres1.0", "depth_fusion.stem.0"),
    *conv_gn_rules(f"{_FUSION}.dres1.2", "depth_fusion.stem.1"),
    *hourglass_rules(f"{_FUSION}.dres1.4", "depth_fusion.hourglasses.0"),
    *hourglass_rules(f"{_FUSION}.dres2", "depth_fusion.hourglasses.1"),
    *hourglass_rules(f"{_FUSION}.dres3", "depth_fusion.hourglasses.2"),
    *conv_gn_rules(f"{_FUSION}.out3.0", "depth_fusion.refine"),
    KeyRule(f"{_FUSION}.out3.2", "depth_fusion.head"),
]

_GEOMETRY = "a constant that the configuration determines; view_transformer computes it"
DROPPED = {f"{_VIEW}.{name}": _GEOMETRY for name in ("dx", "bx", "nx", "frustum")}
