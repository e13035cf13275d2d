# mini/htcl_plus.py at toy size, for tests. MINI_KITTI_ROOT names the data.
_base_ = ["../../projects/configs/occupancy/mini/htcl_plus.py"]

input_size = (32, 64)
specification = dict(
    base="SemanticKITTI",
    grid=dict(point_cloud_range=(0.0, -25.6, -2.0, 51.2, 25.6, 4.4), voxel_size=1.6),
)
train_sequences = ("00",)
val_sequences = ("08",)
history_stride = 5
num_workers = 0

model = dict(
    stereo=dict(input_size=(48, 72), max_disparity=24), view_transformer=dict(voxel_size=1.6)
)
train_cfg = dict(max_iters=2, val_begin=100)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1))
custom_hooks = [dict(type="ProgressBarHook")]
