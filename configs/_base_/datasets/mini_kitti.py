# The synthetic mini data set of tools/make_mini_kitti.py, in SemanticKITTI's layout.
data_root = "{{$MINI_KITTI_ROOT:data/mini}}"
train_sequences = ("00", "01", "02", "03", "04", "05", "06", "07", "10")
val_sequences = ("08", "09")

train_pipeline = [
    dict(
        type="LoadStereoImages",
        input_size=(96, 320),
        temporal_frames="network",
        pixel_convention="centre",
        size_rounding="round",
    ),
    dict(type="LoadCalibrationAndPoses"),
    dict(type="LoadVoxelLabels"),
    dict(type="LoadLidarPoints"),
    dict(type="PackSSCInputs"),
]
val_pipeline = [step for step in train_pipeline if step["type"] != "LoadLidarPoints"]
test_pipeline = [step for step in val_pipeline if step["type"] != "LoadVoxelLabels"]

dataset = dict(type="SemanticKITTISSC", data_root=data_root, num_history=3, history_stride=1)
train_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    collate_fn=dict(type="pseudo_collate"),
    dataset=dict(**dataset, sequences=train_sequences, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="pseudo_collate"),
    dataset=dict(
        **dataset, split="val", sequences=val_sequences, pipeline=val_pipeline, test_mode=True
    ),
)
test_dataloader = val_dataloader
submission_dataloader = dict(
    batch_size=1,
    num_workers=1,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="pseudo_collate"),
    dataset=dict(
        **dataset, split="test", sequences=("11",), pipeline=test_pipeline, test_mode=True
    ),
)

val_evaluator = dict(type="SSCMetric")
test_evaluator = val_evaluator
