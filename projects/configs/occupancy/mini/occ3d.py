# occ3d/htcl_m.py at toy size, on synthetic streets: voxels of 0.8 m.
_base_ = [
    "../../../../configs/_base_/datasets/mini_occ3d.py",
    "../../../../configs/_base_/models/htcl_mini.py",
    "../../../../configs/_base_/schedules/adamw_mini.py",
    "../../../../configs/_base_/default_runtime.py",
]
specification = dict(grid=dict(voxel_size=0.8))
# The empty class comes last.
class_weights = [3.0] * 17 + [1.0]
model = dict(
    stereo=None,
    depth_fusion=None,
    view_transformer=dict(voxel_size=1.6),
    label_stride=1,
    label_mask="mask_camera",
)
max_iters = 400
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=200),
    logger=dict(log_metric_by_epoch=False),
)
log_processor = dict(by_epoch=False)
