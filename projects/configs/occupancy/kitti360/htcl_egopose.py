# semantickitti/htcl_egopose.py on SSCBench-KITTI-360.
_base_ = [
    "../../../../configs/_base_/datasets/kitti360.py",
    "../../../../configs/_base_/models/htcl.py",
    "../../../../configs/_base_/schedules/adamw_30e.py",
    "../../../../configs/_base_/default_runtime.py",
]
