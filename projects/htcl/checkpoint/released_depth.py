"""Names of the image branch, the depth networks and the lifting in a released checkpoint."""

from __future__ import annotations

from htcl.checkpoint.key_rules import KeyRule, rules_below
from htcl.checkpoint.released_hourglass import CONV_GN, HOURGLASS

_VIEW = "img_view_transformer"
_NET = f"{_VIEW}.depth_net"
_ASPP, _BRANCHES = f"{_NET}.depth_conv.3", "depth_net.aspp.branches"
_STEREO = f"{_VIEW}.leamodel"
_FUSION = f"{_VIEW}.volume_interaction"
# Layers of the camera gates, and of the cells of a searched network.
_GATE = {"mlp.fc1": "fc1", "mlp.fc2": "fc2", "se.conv_reduce": "reduce", "se.conv_expand": "expand"}
_CELL = {
    "pre_preprocess": "project_prev_prev",
    "preprocess": "project_prev",
    "_ops.#": "branches.#",
}

RULES: list[KeyRule] = [
    ("img_backbone", "img_backbone"),
    ("img_neck", "img_neck"),
    # Monocular depth.
    (f"{_NET}.bn", "depth_net.camera_norm"),
    *rules_below(f"{_NET}.reduce_conv", "depth_net.reduce", CONV_GN),
    (f"{_NET}.context_conv", "depth_net.context_conv"),
    *((f"{_NET}.context_{k}", f"depth_net.context_gate.{v}") for k, v in _GATE.items()),
    *((f"{_NET}.depth_{k}", f"depth_net.depth_gate.{v}") for k, v in _GATE.items()),
    *((f"{_NET}.depth_conv.{i}", f"depth_net.depth_blocks.{i}") for i in range(3)),
    (f"{_ASPP}.global_avg_pool.1", "depth_net.aspp.pool.conv"),
    (f"{_ASPP}.global_avg_pool.2", "depth_net.aspp.pool.gn"),
    *((f"{_ASPP}.aspp{i + 1}.atrous_conv", f"{_BRANCHES}.{i}.conv") for i in range(4)),
    *((f"{_ASPP}.aspp{i + 1}.bn", f"{_BRANCHES}.{i}.bn") for i in range(4)),
    (f"{_ASPP}.conv1", "depth_net.aspp.fuse.conv"),
    (f"{_ASPP}.bn1", "depth_net.aspp.fuse.bn"),
    (f"{_NET}.depth_conv.4", "depth_net.deform"),
    (f"{_NET}.depth_conv.4.conv_offset", "depth_net.deform_offset"),
    (f"{_NET}.depth_conv.5", "depth_net.depth_conv"),
    # Stereo depth.
    *((f"{_STEREO}.feature.stem{i}", f"stereo.features.stems.{i}") for i in range(3)),
    *rules_below(f"{_STEREO}.feature.cells.#", "stereo.features.cells.#", _CELL.items()),
    (f"{_STEREO}.feature.last_3", "stereo.features.head"),
    *((f"{_STEREO}.matching.stem{i}", f"stereo.matching.stems.{i}") for i in range(2)),
    *rules_below(f"{_STEREO}.matching.cells.#", "stereo.matching.cells.#", _CELL.items()),
    *((f"{_STEREO}.matching.conv{i + 1}", f"stereo.matching.fusions.{i}") for i in range(2)),
    (f"{_STEREO}.matching.last_6", "stereo.matching.reduce"),
    (f"{_STEREO}.matching.last_3", "stereo.matching.head"),
    # Fusion of the two.
    *rules_below(f"{_FUSION}.dres1.0", "depth_fusion.stem.0", CONV_GN),
    *rules_below(f"{_FUSION}.dres1.2", "depth_fusion.stem.1", CONV_GN),
    *rules_below(f"{_FUSION}.dres1.4", "depth_fusion.hourglasses.0", HOURGLASS),
    *rules_below(f"{_FUSION}.dres2", "depth_fusion.hourglasses.1", HOURGLASS),
    *rules_below(f"{_FUSION}.dres3", "depth_fusion.hourglasses.2", HOURGLASS),
    *rules_below(f"{_FUSION}.out3.0", "depth_fusion.refine", CONV_GN),
    (f"{_FUSION}.out3.2", "depth_fusion.head"),
]

_GEOMETRY = "a constant that the configuration determines; view_transformer computes it"
DROPPED = {f"{_VIEW}.{name}": _GEOMETRY for name in ("dx", "bx", "nx", "frustum")}
