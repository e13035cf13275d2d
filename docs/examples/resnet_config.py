"""The mini network with another image backbone: mmdetection's ResNet-50."""

_base_ = ["../../projects/configs/occupancy/mini/htcl_plus.py"]

model = dict(
    img_backbone=dict(
        # Nothing of the old backbone's settings stays.
        _delete_=True,
        type="mmdet.ResNet",
        depth=50,
        # Stages of 1/4, 1/8 and 1/16 of the image.
        out_indices=(0, 1, 2),
        norm_eval=True,
        # With ImageNet weights: dict(type="Pretrained", checkpoint="resnet50.pth").
        init_cfg=None,
    ),
    # What comes from each stage, and the factor that brings it to 1/8 of the image.
    img_neck=dict(
        in_channels=[256, 512, 1024], out_channels=[32, 48, 48], upsample_strides=[0.5, 1, 2]
    ),
)
