# What goes beyond the paper, as a preset over htcl.py or htcl_mini.py: `model = _base_.plus`.
plus = dict(
    # Stereo and history match image patches, which needs no learning and is exact to a fraction of
    # a feature column.
    stereo=dict(
        correlation_groups="${correlation_groups}",
        patch_volume=dict(type="PatchVolume"),
    ),
    # Starts from the product of the two distributions.
    depth_fusion=dict(residual=True),
    temporal=dict(
        matching=dict(joint_statistics=True),
        volume=dict(_delete_=True, type="PatchVolume", depth_chunk=8),
        # The history corrects the depth by which the image features are lifted.
        depth_score=dict(type="DepthScore"),
    ),
    # The history also reaches each voxel at its own place.
    temporal_fusion=dict(pointwise=True),
    # Logits of their own for the parts of a feature voxel: surfaces are as thin as a label voxel.
    head=dict(subvoxels="${subvoxels}"),
    # Each depth distribution learns for itself, not through the fusion alone.
    unfused_depth_weight=1.0,
)
