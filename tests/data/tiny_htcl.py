# mini/htcl_plus.py at toy size, for tests. MINI_KITTI_ROOT names the data.
_base_ = ["../../projects/configs/occupancy/mini/htcl_plus.py"]

input_size = (32, 64)
specification = {"grid": {"voxel_size": 1.6}}
train_sequences = ("00",)
val_sequences = ("08",)
history_stride = 5
num_workers = 0
batch_size = 1

model = {
    "stereo": {"input_size": (48, 72), "max_disparity": 24},
    "view_transformer": {"voxel_size": 1.6},
}
train_cfg = {"max_iters": 2, "val_begin": 100}
default_hooks = {"logger": {"interval": 1}, "checkpoint": {"interval": 1}}
custom_hooks = [{"type": "ProgressBarHook"}]
