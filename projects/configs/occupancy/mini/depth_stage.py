# semantickitti/depth_stage.py at toy size.
_base_ = ["./htcl_points.py"]

num_history = 0
max_iters = 500
model = dict(
    temporal=None,
    temporal_fusion=None,
    point_history=None,
    losses=[dict(type="DepthSupervision", first_edge="${depth_first_edge}")],
)
train_cfg = dict(val_begin=1000000)
find_unused_parameters = True
