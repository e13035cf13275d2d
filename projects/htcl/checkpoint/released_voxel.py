"""Names of the voxel encoder, neck, temporal fusion and head in a released checkpoint."""

from __future__ import annotations

from htcl.checkpoint.key_rules import KeyRule

_ENCODER = "img_bev_encoder_backbone"
_NECK = "img_bev_encoder_neck"
_HEAD = "pts_bbox_head"

RULES: list[KeyRule] = [
    KeyRule(f"{_ENCODER}.input_proj.0", "voxel_encoder.input_proj.conv"),
    KeyRule(f"{_ENCODER}.input_proj.1", "voxel_encoder.input_proj.gn"),
    KeyRule(f"{_ENCODER}.layers.#.#.conv1", "voxel_encoder.stages.#.#.conv1.conv"),
    KeyRule(f"{_ENCODER}.layers.#.#.bn1", "voxel_encoder.stages.#.#.conv1.gn"),
    KeyRule(f"{_ENCODER}.layers.#.#.conv2", "voxel_encoder.stages.#.#.conv2.conv"),
    KeyRule(f"{_ENCODER}.layers.#.#.bn2", "voxel_encoder.stages.#.#.conv2.gn"),
    KeyRule(f"{_ENCODER}.layers.#.#.downsample.0", "voxel_encoder.stages.#.#.shortcut.conv"),
    KeyRule(f"{_ENCODER}.layers.#.#.downsample.1", "voxel_encoder.stages.#.#.shortcut.gn"),
    KeyRule(f"{_NECK}.deblocks.#.0", "voxel_neck.levels.#.conv"),
    KeyRule(f"{_NECK}.deblocks.#.1", "voxel_neck.levels.#.gn"),
    KeyRule(f"{_NECK}.attention_3d.to_q", "temporal_fusion.to_q"),
    KeyRule(f"{_NECK}.attention_3d.to_qkv", "temporal_fusion.to_qkv"),
    KeyRule(f"{_NECK}.attention_3d.to_out.0", "temporal_fusion.to_out"),
    KeyRule(f"{_NECK}.attention_3d.to_out.1", "temporal_fusion.norm"),
    KeyRule(f"{_NECK}.alpha", "temporal_fusion.gate"),
    KeyRule(f"{_HEAD}.occ_convs.0.0", "head.stem.conv"),
    KeyRule(f"{_HEAD}.occ_convs.0.1", "head.stem.gn"),
    KeyRule(f"{_HEAD}.occ_convs.0.3", "head.classifier"),
    KeyRule(f"{_HEAD}.img_feat_reduce", "point_head.image_proj"),
    KeyRule(f"{_HEAD}.point_soft_weights", "point_head.mixing"),
    KeyRule(f"{_HEAD}.point_occ_mlp.fc1", "point_head.classifier.0"),
    KeyRule(f"{_HEAD}.point_occ_mlp.fc2", "point_head.classifier.2"),
]
