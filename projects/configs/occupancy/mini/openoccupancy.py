# openoccupancy/htcl_m.py at toy size, on synthetic streets: voxels of 0.8 m, pooled by the
# benchmark's rule, so its scores are those of another grid than the benchmark's.
_base_ = [
    "../../../../configs/_base_/datasets/mini_openoccupancy.py",
    "../../../../configs/_base_/models/htcl_mini.py",
    "../../../../configs/_base_/schedules/adamw_mini.py",
    "../../../../configs/_base_/default_runtime.py",
]
specification = dict(grid=dict(voxel_size=0.8))
class_weights = [1.0] + [3.0] * 16
model = dict(stereo=None, depth_fusion=None, view_transformer=dict(voxel_size=1.6), label_stride=1)
max_iters = 400
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=200),
    logger=dict(log_metric_by_epoch=False),
)
log_processor = dict(by_epoch=False)
