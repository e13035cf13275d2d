"""Names of the voxel encoder, neck, temporal fusion and head in a released checkpoint."""

from __future__ import annotations

from htcl.checkpoint.key_rules import KeyRule, rules_below
from htcl.checkpoint.released_hourglass import CONV_GN

_ENCODER = "img_bev_encoder_backbone"
_NECK = "img_bev_encoder_neck"
_HEAD = "pts_bbox_head"

RULES: list[KeyRule] = [
    *rules_below(f"{_ENCODER}.input_proj", "voxel_encoder.input_proj", CONV_GN),
    (f"{_ENCODER}.layers.#.#.conv#", "voxel_encoder.stages.#.#.conv#.conv"),
    (f"{_ENCODER}.layers.#.#.bn#", "voxel_encoder.stages.#.#.conv#.gn"),
    *rules_below(f"{_ENCODER}.layers.#.#.downsample", "voxel_encoder.stages.#.#.shortcut", CONV_GN),
    *rules_below(f"{_NECK}.deblocks.#", "voxel_neck.levels.#", CONV_GN),
    (f"{_NECK}.attention_3d.to_q", "temporal_fusion.to_q"),
    (f"{_NECK}.attention_3d.to_qkv", "temporal_fusion.to_qkv"),
    (f"{_NECK}.attention_3d.to_out.0", "temporal_fusion.to_out"),
    (f"{_NECK}.attention_3d.to_out.1", "temporal_fusion.norm"),
    (f"{_NECK}.alpha", "temporal_fusion.gate"),
    *rules_below(f"{_HEAD}.occ_convs.0", "head.stem", CONV_GN),
    (f"{_HEAD}.occ_convs.0.3", "head.classifier"),
    (f"{_HEAD}.img_feat_reduce", "point_head.image_proj"),
    (f"{_HEAD}.point_soft_weights", "point_head.mixing"),
    (f"{_HEAD}.point_occ_mlp.fc1", "point_head.classifier.0"),
    (f"{_HEAD}.point_occ_mlp.fc2", "point_head.classifier.2"),
]
