"""Names of the temporal branch in a released checkpoint."""

from __future__ import annotations

from htcl.checkpoint.key_rules import KeyRule
from htcl.checkpoint.released_hourglass import hourglass_encoder_rules

_RELEASED = "img_view_transformer"
_ENCODER = f"{_RELEASED}.temporal_encoder"
_CURRENT = f"{_RELEASED}.curr_patch.atrous_block"
_WARPED = f"{_RELEASED}.warped_patch.atrous_block"
_DEFORMABLE = f"{_RELEASED}.temporal_deformable"

RULES: list[KeyRule] = [
    KeyRule(f"{_ENCODER}.encoder.layer0.0", "temporal.matching.conv1"),
    KeyRule(f"{_ENCODER}.encoder.layer0.1", "temporal.matching.bn1"),
    # The released layer1 begins with the max-pooling.
    KeyRule(f"{_ENCODER}.encoder.layer1.1", "temporal.matching.layer1"),
    KeyRule(f"{_ENCODER}.pose_enc.encoder", "temporal.pose.encoder"),
    *(KeyRule(f"{_ENCODER}.pose_dec.net.{i}", f"temporal.pose.decoder.{2 * i}") for i in range(4)),
    *(
        rule
        for i, dilation in enumerate((1, 2, 4))
        for rule in (
            KeyRule(f"{_CURRENT}{dilation}", f"temporal.affinity.current_context.{i}"),
            KeyRule(f"{_WARPED}{dilation}.0", f"temporal.affinity.warped_context.{i}.conv"),
            KeyRule(f"{_WARPED}{dilation}.2", f"temporal.affinity.warped_context.{i}.norm"),
        )
    ),
    KeyRule(f"{_DEFORMABLE}.deformable3", "temporal.refinement.levels.0"),
    KeyRule(f"{_DEFORMABLE}.deformable5", "temporal.refinement.levels.1"),
    KeyRule(f"{_DEFORMABLE}.deformable7", "temporal.refinement.levels.2"),
    KeyRule(f"{_DEFORMABLE}.deformablefuse", "temporal.refinement.fuse"),
    *hourglass_encoder_rules(f"{_RELEASED}.temporal_prehourglass", "temporal.pre_hourglass"),
    *hourglass_encoder_rules(f"{_RELEASED}.temporal_hourglass", "temporal.voxel_hourglass"),
]

_CONSTANT = "pixel coordinates of the feature map, which are computed when they are needed"

DROPPED: dict[str, str] = {
    f"{_ENCODER}.encoder.backprojector.id_coords": _CONSTANT,
    f"{_ENCODER}.encoder.backprojector.ones": _CONSTANT,
    f"{_ENCODER}.encoder.backprojector.pix_coords": _CONSTANT,
    f"{_ENCODER}.pose_enc.encoder.fc.weight": "classifier of ImageNet, never used",
    f"{_ENCODER}.pose_enc.encoder.fc.bias": "classifier of ImageNet, never used",
}
