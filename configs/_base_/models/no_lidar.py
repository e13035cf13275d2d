# Training by voxel labels alone, as a preset over a network: `model = _base_.no_lidar`.
no_lidar = dict(
    point_head=None,
    losses=[
        dict(
            type="VoxelCrossEntropy",
            class_weights="${class_weights}",
            weight="${voxel_ce_weight}",
        ),
        dict(type="SemanticScal"),
        dict(type="GeometricScal"),
        dict(type="BoundaryDistance", weight="${boundary_weight}"),
    ],
)
