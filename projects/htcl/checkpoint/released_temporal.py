"""Names of the temporal branch in a released checkpoint."""

from __future__ import annotations

from htcl.checkpoint.key_rules import KeyRule, rules_below
from htcl.checkpoint.released_hourglass import HOURGLASS_ENCODER

_RELEASED = "img_view_transformer"
_ENCODER = f"{_RELEASED}.temporal_encoder"
_CURRENT = f"{_RELEASED}.curr_patch.atrous_block"
_WARPED = f"{_RELEASED}.warped_patch.atrous_block"
_DEFORMABLE = f"{_RELEASED}.temporal_deformable"
_CONV_NORM = [("0", "conv"), ("2", "norm")]

RULES: list[KeyRule] = [
    (f"{_ENCODER}.encoder.layer0.0", "temporal.matching.conv1"),
    (f"{_ENCODER}.encoder.layer0.1", "temporal.matching.bn1"),
    # The released layer1 begins with the max-pooling.
    (f"{_ENCODER}.encoder.layer1.1", "temporal.matching.layer1"),
    (f"{_ENCODER}.pose_enc.encoder", "temporal.pose.encoder"),
    *((f"{_ENCODER}.pose_dec.net.{i}", f"temporal.pose.decoder.{2 * i}") for i in range(4)),
    (f"{_CURRENT}1", "temporal.affinity.current_context.0"),
    (f"{_CURRENT}2", "temporal.affinity.current_context.1"),
    (f"{_CURRENT}4", "temporal.affinity.current_context.2"),
    *rules_below(f"{_WARPED}1", "temporal.affinity.warped_context.0", _CONV_NORM),
    *rules_below(f"{_WARPED}2", "temporal.affinity.warped_context.1", _CONV_NORM),
    *rules_below(f"{_WARPED}4", "temporal.affinity.warped_context.2", _CONV_NORM),
    (f"{_DEFORMABLE}.deformable3", "temporal.refinement.levels.0"),
    (f"{_DEFORMABLE}.deformable5", "temporal.refinement.levels.1"),
    (f"{_DEFORMABLE}.deformable7", "temporal.refinement.levels.2"),
    (f"{_DEFORMABLE}.deformablefuse", "temporal.refinement.fuse"),
    *rules_below(f"{_RELEASED}.temporal_prehourglass", "temporal.pre_hourglass", HOURGLASS_ENCODER),
    *rules_below(f"{_RELEASED}.temporal_hourglass", "temporal.voxel_hourglass", HOURGLASS_ENCODER),
]

_CONSTANT = "pixel coordinates of the feature map, which are computed when they are needed"
_SWEEP = f"{_ENCODER}.encoder.backprojector"
DROPPED: dict[str, str] = {
    **{f"{_SWEEP}.{name}": _CONSTANT for name in ("id_coords", "ones", "pix_coords")},
    f"{_ENCODER}.pose_enc.encoder.fc.weight": "classifier of ImageNet, never used",
    f"{_ENCODER}.pose_enc.encoder.fc.bias": "classifier of ImageNet, never used",
}
