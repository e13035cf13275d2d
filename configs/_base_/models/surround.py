# HTCL for cameras without stereo partners, as a preset over htcl.py: `model = _base_.surround`.
# Image features have 512 channels (key `image_channels`) and a sixteenth of the image's size: six
# cameras of 896 x 1600 pixels.
surround = dict(
    stereo=None,
    depth_fusion=None,
    img_backbone=dict(
        _delete_=True,
        type="mmdet.ResNet",
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=0,
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=False,
        style="pytorch",
        init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet50"),
    ),
    img_neck=dict(
        _delete_=True,
        type="mmdet3d.SECONDFPN",
        in_channels=[256, 512, 1024, 2048],
        out_channels=[128] * 4,
        upsample_strides=[0.25, 0.5, 1, 2],
        norm_cfg=dict(type="BN", eps=1e-3, momentum=0.01),
        upsample_cfg=dict(type="deconv", bias=False),
        conv_cfg=dict(type="Conv2d", bias=False),
    ),
    depth_net=dict(mid_channels=512),
    # A quarter of the voxels of SemanticKITTI's volume along each side is a street of four times
    # the width.
    view_transformer=dict(voxel_size=0.8),
    checkpointing=[
        "img_backbone.layer*.*",
        "depth_net.depth_blocks",
        "depth_net.aspp",
        "temporal.affinity",
        "temporal.refinement",
        "temporal.pre_hourglass",
        "temporal.voxel_hourglass",
        "voxel_encoder.stages.*.*",
        "voxel_neck.levels.*",
        "head",
    ],
)
