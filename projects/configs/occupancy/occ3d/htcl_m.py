# The network of openoccupancy/htcl_m.py on Occ3D: 100 x 100 x 8 voxels of 0.8 m, and logits at
# 200 x 200 x 16 of 0.4 m. Losses see what cameras see, as the score does; with
# model.label_mask=None they see all.
_base_ = [
    "../../../../configs/_base_/datasets/occ3d.py",
    "../../../../configs/_base_/models/htcl.py",
    "../../../../configs/_base_/models/surround.py",
    "../../../../configs/_base_/schedules/adamw_30e.py",
    "../../../../configs/_base_/default_runtime.py",
]
image_channels = 512
max_epochs = 24
# The benchmark counts no voxels of its classes.
class_weights = None
model = _base_.surround
model.label_stride = 2
model.label_mask = "mask_camera"
