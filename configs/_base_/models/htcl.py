# The full-size HTCL network with the geometry that the paper means: one metric depth axis for
# stereo, sweep, lift
# and target, real ego poses, intrinsics of the pixels that the network sees.
input_size = (384, 1280)
point_cloud_range = (0.0, -25.6, -2.0, 51.2, 25.6, 4.4)
depth_bins = dict(start=2.0, stop=58.0, step=0.5)
context_channels = 128
voxel_channels = 384

model = dict(
    type="HTCL",
    data_preprocessor=dict(
        type="SSCDataPreprocessor", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)
    ),
    img_backbone=dict(
        type="mmdet.EfficientNet",
        arch="b7",
        drop_path_rate=0.2,
        frozen_stages=0,
        out_indices=(2, 3, 4, 5, 6),
        norm_eval=False,
        norm_cfg=dict(type="BN", eps=1e-3, momentum=0.1),
        with_cp=True,
        init_cfg=dict(
            type="Pretrained", checkpoint="pretrain/efficientnet-b7.pth", prefix="backbone"
        ),
    ),
    img_neck=dict(
        type="SECONDFPN",
        in_channels=[48, 80, 224, 640, 2560],
        out_channels=[128] * 5,
        upsample_strides=[0.5, 1, 2, 4, 4],
        norm_cfg=dict(type="BN", eps=1e-3, momentum=0.01),
        upsample_cfg=dict(type="deconv", bias=False),
        conv_cfg=dict(type="Conv2d", bias=False),
    ),
    depth_net=dict(
        type="CameraAwareDepthNet",
        in_channels=640,
        mid_channels=640,
        context_channels=context_channels,
        depth_bins=depth_bins,
        with_cp=True,
    ),
    stereo=dict(
        type="StereoDepth",
        depth_bins=depth_bins,
        input_size=(288, 960),
        max_disparity=192,
        plane_depths="depth_bins",
        disparity_scale="geometry",
        align_corners=True,
        resize_align_corners=False,
        feature_pixels="centres",
        with_cp=True,
    ),
    depth_fusion=dict(type="StereoDepthFusion", channels=32, with_cp=True),
    view_transformer=dict(
        type="LiftSplat",
        point_cloud_range=point_cloud_range,
        voxel_size=0.4,
        input_size=input_size,
        downsample=8,
        depth_bins=depth_bins,
        index_rounding="floor",
        frustum_pixels="centres",
    ),
    temporal=dict(
        type="TemporalContext",
        num_history=3,
        depth_bins=depth_bins,
        matching=dict(type="MatchingResNet", channels=64),
        pose=dict(type="EgoPose"),
        intrinsics="feature",
        sweep_range=None,
        discard_behind=True,
        align_corners=False,
        affinity=dict(type="PatternAffinity", dilations=(1, 2, 4), independent_learners=True),
        refinement=dict(type="AffinityRefinement", deformable=True),
        pre_hourglass=dict(out_channels=64),
        voxel_hourglass=dict(out_channels=voxel_channels),
        with_cp=True,
    ),
    voxel_encoder=dict(
        type="VoxelResNet3D", in_channels=context_channels, widths=(128, 256, 512), with_cp=True
    ),
    voxel_neck=dict(type="VoxelFPN", in_channels=(128, 256, 512), out_channels=128, with_cp=True),
    temporal_fusion=dict(
        type="TemporalVoxelAttention", channels=voxel_channels, gate_init=0.0, pointwise=False
    ),
    head=dict(
        type="OccupancyHead",
        in_channels=voxel_channels,
        mid_channels=192,
        num_classes=20,
        point_supervision=dict(
            type="PointSupervision",
            image_channels=640,
            point_cloud_range=point_cloud_range,
            sample_axes="xyz",
        ),
        with_cp=True,
    ),
    # Bin i covers the half step on either side of its depth.
    loss_depth=dict(type="DepthSupervision", depth_bins=depth_bins, first_edge=1.75),
    auxiliary_weight=1.0,
    grid_size=(256, 256, 32),
)
