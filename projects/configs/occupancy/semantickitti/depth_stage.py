# Trains the depth of htcl_points.py alone, on lidar; its checkpoint is --load-from of the others.
_base_ = ["./htcl_points.py", "../../../../configs/_base_/models/depth_stage.py"]

num_history = 0
max_epochs = 5
model = _base_.depth_stage
# Nothing that it trains is scored by voxels: see benchmarks/depth_error.py.
train_cfg = dict(val_begin=1000)
# Voxel parts wait for the next stage.
find_unused_parameters = True
