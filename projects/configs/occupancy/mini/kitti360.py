# kitti360/htcl_egopose.py at toy size, on the synthetic mini data set of KITTI-360's layout.
_base_ = [
    "../../../../configs/_base_/datasets/mini_kitti360.py",
    "../../../../configs/_base_/models/htcl_mini.py",
    "../../../../configs/_base_/schedules/adamw_mini.py",
    "../../../../configs/_base_/default_runtime.py",
]
# For 19 classes, as for the 20 of SemanticKITTI.
class_weights = [1.0] + [3.0] * 18
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=500),
    logger=dict(log_metric_by_epoch=False),
)
log_processor = dict(by_epoch=False)
