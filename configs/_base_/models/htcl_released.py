# What the published network does where it differs from the paper, as a preset over htcl.py or
# htcl_mini.py: `model = _base_.released`, and the data set's pixels and history_images.
# docs/differences_from_release.md explains each key.
released = dict(
    stereo=dict(
        plane_depths="released",
        disparity_scale=0.25,
        # What the release's own torch 1.10.1 ran; "exact" under torch 2.
        volume_sampling="released",
    ),
    view_transformer=dict(index_rounding="released"),
    temporal=dict(
        pose=dict(_delete_=True, type="PoseNet", trainable=False),
        intrinsics="released",
        sweep_range=(0.0, 112.0),
        behind="released",
    ),
    point_head=dict(sample_axes="released"),
)
