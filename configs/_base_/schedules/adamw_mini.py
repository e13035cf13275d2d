# A schedule in steps for the mini networks.
max_iters = 1000
train_sampler = dict(type="InfiniteSampler", shuffle=True)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=3e-3, weight_decay=0.01, fused=True),
    # The backbone comes with ImageNet weights, everything else starts from nothing.
    paramwise_cfg=dict(custom_keys=dict(img_backbone=dict(lr_mult=0.1))),
    clip_grad=dict(max_norm=5, norm_type=2),
)
param_scheduler = [
    dict(type="LinearLR", by_epoch=False, begin=0, end=50, start_factor=0.1),
    dict(
        type="CosineAnnealingLR", by_epoch=False, begin=50, end="${max_iters}", eta_min_ratio=0.05
    ),
]
train_cfg = dict(type="IterBasedTrainLoop", max_iters="${max_iters}", val_interval=500)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
