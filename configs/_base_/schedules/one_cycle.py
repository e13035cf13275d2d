# One cycle over passes of the data, so that neither batch size nor number of GPUs changes how many
# samples it takes.
max_epochs = 25
learning_rate = 3e-4
train_sampler = dict(type="DefaultSampler", shuffle=True)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr="${learning_rate}", weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=20, norm_type=2),
)
param_scheduler = [
    dict(
        type="OneCycleLR",
        by_epoch=True,
        convert_to_iter_based=True,
        total_steps="${max_epochs}",
        eta_max="${learning_rate}",
        pct_start=0.05,
    )
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs="${max_epochs}", val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
