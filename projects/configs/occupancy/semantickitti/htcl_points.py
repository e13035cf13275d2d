# htcl_plus.py with the history as points too, and a training that the field has found better since:
# nearer history frames, one cycle of the learning rate, jittered colours.
_base_ = [
    "../../../../configs/_base_/datasets/semantickitti.py",
    "../../../../configs/_base_/models/htcl.py",
    "../../../../configs/_base_/models/htcl_points.py",
    "../../../../configs/_base_/schedules/one_cycle.py",
    "../../../../configs/_base_/default_runtime.py",
]

correlation_groups = 8
# Feature voxels of 0.4 m, labels of 0.2 m.
subvoxels = (2, 2, 2)
model = _base_.plus

# t - 3, t - 6, t - 9 at 10 Hz.
history_stride = 3
augmentations = [dict(type="PhotometricJitter", brightness=0.4, contrast=0.4, saturation=0.4)]
