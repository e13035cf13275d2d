"""The recommended mini network, AdamW's state divided among the processes of run.sh."""

_base_ = ["../../projects/configs/occupancy/mini/htcl_plus.py"]

optim_wrapper = dict(optimizer=dict(type="ShardedOptimizer", optimizer_type="AdamW"))
