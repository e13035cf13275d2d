# Our reading of HTCL-M, whose code nobody published: six cameras, no stereo, history of each
# camera; a volume of 128 x 128 x 10 voxels of 0.8 m, and logits at 512 x 512 x 40 of 0.2 m.
_base_ = [
    "../../../../configs/_base_/datasets/openoccupancy.py",
    "../../../../configs/_base_/models/htcl.py",
    "../../../../configs/_base_/models/surround.py",
    "../../../../configs/_base_/schedules/adamw_30e.py",
    "../../../../configs/_base_/default_runtime.py",
]
image_channels = 512
max_epochs = 24
model = _base_.surround
# Each step sees the labels of every fourth voxel along each axis, another one each time.
model.label_stride = 4
