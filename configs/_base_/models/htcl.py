# The HTCL network with the geometry that the paper means, at full size. htcl_mini.py is the same
# graph with smaller numbers.
depth_bins = dict(start=2.0, stop=58.0, step=0.5)
context_channels = 128
voxel_channels = 384
image_channels = 640
voxel_widths = (128, 256, 512)
# 1 / ln of the class's voxels in the training split.
class_weights = "inverse_log_frequency"
voxel_ce_weight = 1.0
# Weight of the distances to the ends of objects; 0 does without them and their head.
boundary_weight = 0.0
# Lidar depth where bin 0 of the depth supervision begins, metres; None: half a step before it.
depth_first_edge = None

model = dict(
    type="HTCL",
    specification="${specification}",
    depth_bins="${depth_bins}",
    data_preprocessor=dict(
        type="OccupancyDataPreprocessor",
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
    ),
    img_backbone=dict(
        type="mmdet.EfficientNet",
        arch="b7",
        drop_path_rate=0.2,
        frozen_stages=0,
        out_indices=(2, 3, 4, 5, 6),
        norm_eval=False,
        norm_cfg=dict(type="BN", eps=1e-3, momentum=0.1),
        init_cfg=dict(
            type="Pretrained", checkpoint="pretrain/efficientnet-b7.pth", prefix="backbone"
        ),
    ),
    img_neck=dict(
        type="mmdet3d.SECONDFPN",
        in_channels=[48, 80, 224, 640, 2560],
        out_channels=[128] * 5,
        upsample_strides=[0.5, 1, 2, 4, 4],
        norm_cfg=dict(type="BN", eps=1e-3, momentum=0.01),
        upsample_cfg=dict(type="deconv", bias=False),
        conv_cfg=dict(type="Conv2d", bias=False),
    ),
    depth_net=dict(
        type="CameraAwareDepthNet",
        in_channels="${image_channels}",
        mid_channels=640,
        context_channels="${context_channels}",
        num_blocks=3,
        aspp_dilations=(6, 12, 18),
    ),
    stereo=dict(type="StereoDepth", input_size=(288, 960), max_disparity=192, base_width=8),
    depth_fusion=dict(type="StereoDepthFusion", channels=32),
    view_transformer=dict(type="LiftSplat", voxel_size=0.4),
    temporal=dict(
        type="TemporalContext",
        num_history="${num_history}",
        pose=dict(type="EgoPose"),
        matching=dict(type="MatchingResNet", channels=64),
        volume=dict(type="MeanVolume"),
        affinity=dict(type="PatternAffinity", dilations=(1, 2, 4), independent_learners=True),
        refinement=dict(type="AffinityRefinement", hidden_channels=8, deformable=True),
        pre_hourglass=dict(
            type="HourglassEncoder", hidden_channels=32, expand_channels=64, out_channels=64
        ),
        voxel_hourglass=dict(
            type="HourglassEncoder",
            hidden_channels=32,
            expand_channels=64,
            out_channels="${voxel_channels}",
        ),
    ),
    voxel_encoder=dict(
        type="VoxelResNet3D",
        in_channels="${context_channels}",
        widths="${voxel_widths}",
        blocks_per_stage=2,
        num_groups=32,
    ),
    voxel_neck=dict(
        type="VoxelFPN", in_channels="${voxel_widths}", out_channels=128, num_groups=32
    ),
    temporal_fusion=dict(
        type="TemporalVoxelAttention", channels="${voxel_channels}", gate_init=0.0
    ),
    head=dict(
        type="OccupancyHead", in_channels="${voxel_channels}", mid_channels=192, num_groups=32
    ),
    point_head=dict(
        type="PointHead", voxel_channels="${voxel_channels}", image_channels="${image_channels}"
    ),
    boundary_head=dict(type="BoundaryHead", in_channels="${voxel_channels}"),
    losses=[
        dict(
            type="VoxelCrossEntropy",
            class_weights="${class_weights}",
            weight="${voxel_ce_weight}",
        ),
        dict(type="SemanticScal"),
        dict(type="GeometricScal"),
        dict(type="PointCrossEntropy"),
        dict(type="PointLovasz"),
        dict(type="DepthSupervision", first_edge="${depth_first_edge}"),
        dict(type="BoundaryDistance", weight="${boundary_weight}"),
    ],
    label_stride=1,
    unfused_depth_weight=0.0,
    auxiliary_weight=1.0,
    # Computed again in the backward pass: half the time more, a third of the memory.
    checkpointing=[
        "img_backbone.layers.*.*",
        "depth_net.depth_blocks",
        "depth_net.aspp",
        "stereo.features",
        "stereo.matching.stems.*",
        "stereo.matching.cells.*",
        "stereo.matching.fusions.*",
        "depth_fusion.stem",
        "depth_fusion.hourglasses.*",
        "depth_fusion.refine",
        "temporal.affinity",
        "temporal.refinement",
        "temporal.pre_hourglass",
        "temporal.voxel_hourglass",
        "voxel_encoder.stages.*.*",
        "voxel_neck.levels.*",
        "head",
    ],
)
