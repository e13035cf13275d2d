# semantickitti/htcl_egopose.py at toy size, on the synthetic mini data set.
_base_ = [
    "../../../../configs/_base_/datasets/mini_kitti.py",
    "../../../../configs/_base_/models/htcl_mini.py",
    "../../../../configs/_base_/schedules/adamw_mini.py",
    "../../../../configs/_base_/default_runtime.py",
]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=500),
    logger=dict(log_metric_by_epoch=False),
)
log_processor = dict(by_epoch=False)
