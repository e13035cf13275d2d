# The released schedule: AdamW 1e-4, a tenth after epochs 20 and 25, gradients clipped at norm 5.
max_epochs = 30
train_sampler = dict(type="DefaultSampler", shuffle=True)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=5, norm_type=2),
)
param_scheduler = [
    dict(
        type="MultiStepLR",
        by_epoch=True,
        begin=0,
        end="${max_epochs}",
        milestones=[20, 25],
        gamma=0.1,
    )
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs="${max_epochs}", val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
