# The network that the paper means, with real ego poses, intrinsics that follow the pixels, and one
# depth axis.
_base_ = [
    "../../../../configs/_base_/datasets/semantickitti.py",
    "../../../../configs/_base_/models/htcl.py",
    "../../../../configs/_base_/schedules/adamw_30e.py",
    "../../../../configs/_base_/default_runtime.py",
]
