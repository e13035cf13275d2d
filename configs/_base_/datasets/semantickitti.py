# SemanticKITTI at full size. The pipeline means what the paper means: one set of pixels for all
# parts of the
# network, exact pixel centres, real poses. temporal_baseline.py turns the released behaviour on
# again.
# One key or the environment variable; docs/data.md shows the accepted layouts.
data_root = "{{$SEMANTICKITTI_ROOT:data/occupancy/semanticKITTI/RGB}}"

train_pipeline = [
    dict(
        type="LoadStereoImages",
        input_size=(384, 1280),
        temporal_frames="network",
        pixel_convention="centre",
        size_rounding="round",
    ),
    dict(type="LoadCalibrationAndPoses"),
    dict(type="LoadVoxelLabels", scale="1_1"),
    dict(type="LoadLidarPoints"),
    dict(type="PackSSCInputs"),
]
# Lidar is for training only.
val_pipeline = [step for step in train_pipeline if step["type"] != "LoadLidarPoints"]
# The hidden test sequences have no labels.
test_pipeline = [step for step in val_pipeline if step["type"] != "LoadVoxelLabels"]

dataset = dict(type="SemanticKITTISSC", data_root=data_root, num_history=3, history_stride=5)
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    collate_fn=dict(type="pseudo_collate"),
    dataset=dict(**dataset, split="train", pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="pseudo_collate"),
    dataset=dict(**dataset, split="val", pipeline=val_pipeline, test_mode=True),
)
# As everyone in the field does, tools/test.py scores the validation sequence;
# tools/make_submission.py predicts
# the hidden sequences through submission_dataloader.
test_dataloader = val_dataloader
submission_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="pseudo_collate"),
    dataset=dict(**dataset, split="test", pipeline=test_pipeline, test_mode=True),
)

val_evaluator = dict(type="SSCMetric")
test_evaluator = val_evaluator
