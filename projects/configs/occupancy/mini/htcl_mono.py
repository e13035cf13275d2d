# One image at toy size: no stereo, no history.
_base_ = ["./stereoscene.py"]

train_pipeline = [dict(step) for step in _base_.train_pipeline]
train_pipeline[0].update(right=False)
val_pipeline = [dict(step) for step in _base_.val_pipeline]
val_pipeline[0].update(right=False)
test_pipeline = [step for step in val_pipeline if step["type"] != "LoadVoxelLabels"]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
submission_dataloader = dict(dataset=dict(pipeline=test_pipeline))

model = dict(stereo=None, depth_fusion=None)
