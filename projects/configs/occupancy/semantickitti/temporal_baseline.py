# The released network, number by number: every key below turns one of its oddities on.
# docs/differences_from_release.md explains each.
_base_ = ["./htcl_egopose.py"]

image_loading = dict(
    temporal_frames="resized",
    pixel_convention="corner",
    size_rounding="truncate",
)
train_pipeline = [dict(step) for step in _base_.train_pipeline]
train_pipeline[0].update(image_loading)
train_pipeline[1].update(poses=False)
val_pipeline = [step for step in train_pipeline if step["type"] != "LoadLidarPoints"]
test_pipeline = [step for step in val_pipeline if step["type"] != "LoadVoxelLabels"]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
submission_dataloader = dict(dataset=dict(pipeline=test_pipeline))

model = dict(
    stereo=dict(
        plane_depths="integer_metres",
        disparity_scale=0.25,
        # False is what the release's own torch 1.10.1 ran; True under torch 2.
        align_corners=False,
        resize_align_corners=True,
        feature_pixels="corners",
    ),
    view_transformer=dict(index_rounding="trunc", frustum_pixels="corners"),
    temporal=dict(
        pose=dict(_delete_=True, type="PoseNet", trainable=False),
        intrinsics="pixel_times_feature_size",
        sweep_range=(0.0, 112.0),
        discard_behind=False,
        align_corners=True,
    ),
    head=dict(point_supervision=dict(sample_axes="swapped")),
    loss_depth=dict(first_edge=2.25),
)
