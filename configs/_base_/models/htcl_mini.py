# HTCL's graph with numbers for a CPU: an ImageNet-trained EfficientNet-Lite0 from a PyPI package.
_base_ = ["./htcl.py"]

depth_bins = dict(start=2.0, stop=50.0, step=1.0)
context_channels = 32
voxel_channels = 48
image_channels = 128
voxel_widths = (24, 48, 96)
# IoU is best where voxels count as occupied from well below a probability of 1/2 on. The weight
# keeps rare classes, which dominate the scene-class affinity loss, from being predicted wherever
# the network is unsure.
class_weights = [1.0] + [3.0] * 19
voxel_ce_weight = 10.0

model = dict(
    # Without its last level, of stride 32: half the parameters, the same scores.
    img_backbone=dict(
        _delete_=True, type="EfficientNetLite0", out_indices=(1, 2, 3), norm_eval=True
    ),
    img_neck=dict(
        in_channels=[24, 40, 112], out_channels=[32, 48, 48], upsample_strides=[0.5, 1, 2]
    ),
    depth_net=dict(mid_channels=64, num_blocks=1, aspp_dilations=(2, 4, 6)),
    stereo=dict(input_size=(72, 240), max_disparity=72, base_width=2),
    depth_fusion=dict(channels=8),
    view_transformer=dict(voxel_size=0.8),
    temporal=dict(
        matching=dict(channels=32),
        refinement=dict(hidden_channels=4),
        pre_hourglass=dict(hidden_channels=8, expand_channels=16, out_channels=16),
        voxel_hourglass=dict(hidden_channels=8, expand_channels=16),
    ),
    voxel_encoder=dict(blocks_per_stage=1, num_groups=8),
    voxel_neck=dict(out_channels=16, num_groups=8),
    head=dict(mid_channels=32, num_groups=8),
    label_stride=4,
    # Temporal and fused voxels share the head; in a short training the temporal ones alone would
    # spoil it, and they take an eighth of a step.
    auxiliary_weight=0.0,
    checkpointing=[],
)
