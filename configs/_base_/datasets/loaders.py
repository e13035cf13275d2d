# Loaders and pipeline of every data set. A data set file names this one as its base and states the
# facts; what is written "${like.this}" takes the value of that key when the config is complete, so
# that a leaf config or --cfg-options changes a fact in one place.
pipeline = [
    dict(
        type="LoadImages",
        input_size="${input_size}",
        pixels="${pixels}",
        history_images="${history_images}",
    ),
    dict(type="LoadDepthPrior", depth_bins="${depth_bins}"),
    dict(type="LoadVoxelLabels"),
    dict(type="LoadLidarPoints"),
    dict(type="PackInputs"),
]
# Steps of the training alone, before the last one of the pipeline.
augmentations = []

# "network": history and present are the same pixels.
history_images = "network"
# Pixel centres have integer coordinates.
pixels = "centres"

# A number takes the place of history_stride: the distance of the history frames in metres along the
# way that the camera went; and how many frames back they are at most.
history_metres = None
history_max_frames = 50
# Root of the files of external depth, for networks that want some; None: data_root.
depth_root = None
# Folder that keeps loaded samples, for trainings whose data are slower than the network.
sample_cache = None

# None: all sequences of the split.
train_sequences = None
val_sequences = None
test_sequences = None

_dataset = dict(
    type="${dataset_type}",
    data_root="${data_root}",
    specification="${specification}",
    num_history="${num_history}",
    history_stride="${history_stride}",
    history_metres="${history_metres}",
    history_max_frames="${history_max_frames}",
    depth_root="${depth_root}",
    sample_cache="${sample_cache}",
    pipeline="${pipeline}",
)
_loader = dict(
    num_workers="${num_workers}",
    persistent_workers=True,
    collate_fn=dict(type="pseudo_collate"),
)
_in_order = dict(type="DefaultSampler", shuffle=False)

train_dataloader = dict(
    **_loader,
    batch_size="${batch_size}",
    sampler="${train_sampler}",
    dataset=dict(
        **_dataset,
        split="train",
        sequences="${train_sequences}",
        augmentations="${augmentations}",
    ),
)
val_dataloader = dict(
    **_loader,
    batch_size=1,
    sampler=_in_order,
    dataset=dict(**_dataset, split="val", sequences="${val_sequences}", test_mode=True),
)
# As everyone in the field does, tools/test.py scores the validation sequences.
test_dataloader = val_dataloader
# The hidden sequences, which have no labels, for tools/make_submission.py.
submission_dataloader = dict(
    **_loader,
    batch_size=1,
    sampler=_in_order,
    dataset=dict(**_dataset, split="test", sequences="${test_sequences}", test_mode=True),
)

val_evaluator = dict(type="SSCMetric")
test_evaluator = val_evaluator
