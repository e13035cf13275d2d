# The recommended mini network at toy size, for tests. MINI_KITTI_ROOT names the data.
_base_ = ["../../projects/configs/occupancy/mini/htcl_egopose.py"]

input_size = (32, 64)
grid_size = (32, 32, 4)
train_pipeline = [dict(step) for step in _base_.train_pipeline]
train_pipeline[0].update(input_size=input_size)
train_pipeline[2].update(scale="1_8")
val_pipeline = [step for step in train_pipeline if step["type"] != "LoadLidarPoints"]
train_dataloader = {
    "num_workers": 0,
    "persistent_workers": False,
    "dataset": {"sequences": ("00",), "pipeline": train_pipeline, "history_stride": 5},
}
val_dataloader = {
    "num_workers": 0,
    "persistent_workers": False,
    "dataset": {"sequences": ("08",), "pipeline": val_pipeline, "history_stride": 5},
}
test_dataloader = val_dataloader

model = {
    "stereo": {"input_size": (48, 72), "max_disparity": 24},
    "view_transformer": {"input_size": input_size, "voxel_size": 1.6},
    "grid_size": grid_size,
}
train_cfg = {"max_iters": 2, "val_begin": 100}
default_hooks = {"logger": {"interval": 1}, "checkpoint": {"interval": 1}}
custom_hooks = [{"type": "ProgressBarHook"}]
