# HTCL's graph at toy size, for a CPU: an ImageNet-trained EfficientNet-Lite0 from a PyPI package.
point_cloud_range = (0.0, -25.6, -2.0, 51.2, 25.6, 4.4)
depth_bins = dict(start=2.0, stop=50.0, step=1.0)
context_channels = 32
voxel_channels = 48

model = dict(
    type="HTCL",
    data_preprocessor=dict(
        type="SSCDataPreprocessor", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)
    ),
    # Without its last level, of stride 32: half the parameters, the same scores.
    img_backbone=dict(type="EfficientNetLite0", out_indices=(1, 2, 3), norm_eval=True),
    img_neck=dict(
        type="SECONDFPN",
        in_channels=[24, 40, 112],
        out_channels=[32, 48, 48],
        upsample_strides=[0.5, 1, 2],
        norm_cfg=dict(type="BN", eps=1e-3, momentum=0.01),
        upsample_cfg=dict(type="deconv", bias=False),
        conv_cfg=dict(type="Conv2d", bias=False),
    ),
    depth_net=dict(
        type="CameraAwareDepthNet",
        in_channels=128,
        mid_channels=64,
        context_channels=context_channels,
        depth_bins=depth_bins,
        num_blocks=1,
        aspp_dilations=(2, 4, 6),
    ),
    stereo=dict(
        type="StereoDepth",
        depth_bins=depth_bins,
        input_size=(96, 312),
        max_disparity=96,
        base_width=2,
        correlation_groups=4,
        patch_correlation=True,
        plane_depths="depth_bins",
        disparity_scale="geometry",
        align_corners=True,
        resize_align_corners=False,
        feature_pixels="centres",
    ),
    depth_fusion=dict(type="StereoDepthFusion", channels=8, residual=True),
    view_transformer=dict(
        type="LiftSplat",
        point_cloud_range=point_cloud_range,
        voxel_size=0.8,
        input_size=(96, 320),
        downsample=8,
        depth_bins=depth_bins,
        index_rounding="floor",
        frustum_pixels="centres",
    ),
    temporal=dict(
        type="TemporalContext",
        num_history=3,
        depth_bins=depth_bins,
        matching=dict(type="MatchingResNet", channels=32, joint_statistics=True),
        pose=dict(type="EgoPose"),
        intrinsics="feature",
        sweep_range=None,
        warped_feature="patches",
        depth_chunk=8,
        discard_behind=True,
        align_corners=False,
        affinity=dict(type="PatternAffinity", dilations=(1, 2, 4), independent_learners=True),
        refinement=dict(type="AffinityRefinement", hidden_channels=4, deformable=True),
        depth_correction=True,
        pre_hourglass=dict(hidden_channels=8, expand_channels=16, out_channels=16),
        voxel_hourglass=dict(hidden_channels=8, expand_channels=16, out_channels=voxel_channels),
    ),
    voxel_encoder=dict(
        type="VoxelResNet3D",
        in_channels=context_channels,
        widths=(24, 48, 96),
        blocks_per_stage=1,
        num_groups=8,
    ),
    voxel_neck=dict(type="VoxelFPN", in_channels=(24, 48, 96), out_channels=16, num_groups=8),
    temporal_fusion=dict(type="TemporalVoxelAttention", channels=voxel_channels, pointwise=True),
    head=dict(
        type="OccupancyHead",
        in_channels=voxel_channels,
        mid_channels=32,
        num_classes=20,
        num_groups=8,
        # The network's voxels have 0.8 m, the labels 0.2 m; surfaces are thinnest along z.
        subvoxels=(2, 2, 4),
        loss_stride=3,
        # IoU is best where voxels count as occupied from well below a probability of 1/2 on. The
        # weight keeps rare classes, which dominate the scene-class affinity loss, from being
        # predicted wherever the network is unsure.
        class_weights=[1.0] + [3.0] * 19,
        loss_weights=dict(voxel_ce=10.0),
        point_supervision=dict(
            type="PointSupervision",
            image_channels=128,
            point_cloud_range=point_cloud_range,
            sample_axes="xyz",
        ),
    ),
    loss_depth=dict(type="DepthSupervision", depth_bins=depth_bins, first_edge=1.5),
    unfused_depth_weight=1.0,
    # Both share the head; in a short training the temporal voxels alone would spoil it.
    auxiliary_weight=0.25,
    grid_size=(256, 256, 32),
)
