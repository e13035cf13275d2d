# Stereo without history at toy size.
_base_ = ["./htcl_egopose.py"]

train_pipeline = [dict(step) for step in _base_.train_pipeline]
train_pipeline[0].update(frames=False)
train_pipeline[1].update(poses=False)
val_pipeline = [dict(step) for step in _base_.val_pipeline]
val_pipeline[0].update(frames=False)
val_pipeline[1].update(poses=False)
test_pipeline = [step for step in val_pipeline if step["type"] != "LoadVoxelLabels"]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, num_history=0))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline, num_history=0))
test_dataloader = val_dataloader
submission_dataloader = dict(dataset=dict(pipeline=test_pipeline, num_history=0))

model = dict(temporal=None, temporal_fusion=None)
