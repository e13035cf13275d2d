"""Every shipped config: it builds, its size is pinned, and at toy size it trains and predicts.

Shape letters: B batch, T frame, X Y Z voxel.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from mmdet3d.registry import DATASETS, MODELS
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope

from htcl.engine.runner import load_config

FOLDER = Path(__file__).resolve().parents[1] / "projects" / "configs" / "occupancy"

# Parameters, and those of them that are trained.
PARAMETERS = {
    "semantickitti/htcl_egopose": (162_278_281, 162_278_281),
    # 12.5 million in the frozen pose net.
    "semantickitti/temporal_baseline": (174_778_773, 162_278_281),
    "semantickitti/stereoscene": (158_908_630, 158_908_630),
    "semantickitti/htcl_mono": (153_789_028, 153_789_028),
    "mini/htcl_egopose": (2_311_709, 2_311_709),
    "mini/temporal_baseline": (14_812_201, 2_311_709),
    "mini/stereoscene": (2_068_266, 2_068_266),
    "mini/htcl_mono": (1_748_172, 1_748_172),
}
FULL = [name for name in PARAMETERS if name.startswith("semantickitti")]
MINI = [name for name in PARAMETERS if name.startswith("mini")]
LOADERS = ("train_dataloader", "val_dataloader")


def load(name: str, **options):
    cfg = load_config(FOLDER / f"{name}.py", options)
    init_default_scope(cfg.default_scope)
    return cfg


def tiny(
    name: str,
    data_root: Path,
    size: tuple[int, int] = (32, 64),
    point_cloud_range: tuple[float, ...] = (0.0, -25.6, -2.0, 51.2, 25.6, 4.4),
    voxel_size: float = 1.6,
    grid_size: tuple[int, int, int] = (32, 32, 4),
    num_history: int | None = None,
):
    """A mini config with small images and volumes, changed as a user would by --cfg-options."""
    cfg = load(name)
    options = {
        "model.view_transformer.input_size": size,
        "model.view_transformer.point_cloud_range": point_cloud_range,
        "model.view_transformer.voxel_size": voxel_size,
        "model.head.point_supervision.point_cloud_range": point_cloud_range,
        "model.grid_size": grid_size,
        "train_dataloader.dataset.sequences": ("00",),
        "val_dataloader.dataset.sequences": ("08",),
    }
    for loader in LOADERS:
        options |= {
            f"{loader}.dataset.data_root": str(data_root),
            f"{loader}.dataset.history_stride": 5,
            f"{loader}.dataset.pipeline.0.input_size": size,
            f"{loader}.dataset.pipeline.2.scale": "1_8",
        }
        if num_history is not None:
            options[f"{loader}.dataset.num_history"] = num_history
            options["model.temporal.num_history"] = num_history
    if cfg.model.stereo is not None:
        options |= {"model.stereo.input_size": (48, 72), "model.stereo.max_disparity": 24}
    cfg.merge_from_dict(options)
    return cfg


def samples(cfg, loader: str, count: int = 1) -> list[dict]:
    dataset = DATASETS.build(cfg[loader].dataset)
    return [dataset[index] for index in range(count)]


def train_step(cfg, batch: list[dict], dtype: torch.dtype | None = None):
    """Losses and gradients of one step."""
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).train()
    data = model.data_preprocessor(pseudo_collate(batch), training=True)
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        losses = model(**data, mode="loss")
    total, logged = model.parse_losses(losses)
    total.backward()
    return model, logged


def check_finite(model, logged) -> None:
    broken = [name for name, value in logged.items() if not torch.isfinite(value)]
    assert not broken, f"not finite: {broken}"
    bad = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
        and (parameter.grad is None or not torch.isfinite(parameter.grad).all())
    ]
    assert not bad, f"without a finite gradient: {bad[:10]}"


def test_table_is_complete():
    shipped = {path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.py")}
    assert shipped == set(PARAMETERS)


@pytest.mark.parametrize("name", FULL)
def test_full_size_parameters(name, monkeypatch):
    # On the meta device nothing is allocated. Values read there mean nothing: the drop path rates
    # of mmdet's EfficientNet, and the class weights, which are no parameters.
    monkeypatch.setattr(torch.Tensor, "item", lambda tensor: 0.0)
    cfg = load(name, **{"model.head.class_weights": None})
    with torch.device("meta"):
        model = MODELS.build(cfg.model)
    assert count_parameters(model) == PARAMETERS[name]


@pytest.mark.parametrize("name", FULL)
def test_full_size_data(name, kitti_tree):
    cfg = load(name)
    for loader, sequence in zip(LOADERS, ("00", "08"), strict=True):
        settings = {**cfg[loader].dataset, "data_root": str(kitti_tree), "sequences": (sequence,)}
        dataset = DATASETS.build(settings)
        assert len(dataset) == 3
    # The images of the small tree are enlarged, as any image is.
    sample = dataset[1]
    assert sample["inputs"]["left"].shape == (3, 384, 1280)
    assert sample["data_samples"].gt_voxels.semantics.shape == (256, 256, 32)
    assert ("right" in sample["inputs"]) == (cfg.model.stereo is not None)
    assert ("frames" in sample["inputs"]) == (cfg.model.temporal is not None)
    assert "points" not in sample["inputs"]
    submission = [step.type for step in cfg.submission_dataloader.dataset.pipeline]
    assert "LoadVoxelLabels" not in submission


def count_parameters(model) -> tuple[int, int]:
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, _ in sizes), sum(n for n, trained in sizes if trained)


@pytest.mark.parametrize("name", MINI)
@pytest.mark.parametrize("batch_size", (1, 2))
def test_mini_trains(name, batch_size, kitti_tree):
    cfg = tiny(name, kitti_tree)
    model, logged = train_step(cfg, samples(cfg, "train_dataloader", batch_size))
    assert count_parameters(model) == PARAMETERS[name]
    check_finite(model, logged)


@pytest.mark.parametrize("name", MINI)
def test_mini_predicts(name, kitti_tree):
    cfg = tiny(name, kitti_tree, grid_size=(64, 64, 8))
    model = MODELS.build(cfg.model).eval()
    with torch.no_grad():
        predictions = model.test_step(pseudo_collate(samples(cfg, "val_dataloader", 2)))
    assert [sample.frame for sample in predictions] == ["000000", "000005"]
    for sample in predictions:
        semantics = sample.pred_voxels.semantics
        assert semantics.shape == (64, 64, 8)
        assert semantics.dtype == torch.uint8
        assert semantics.max() < 20


@pytest.mark.parametrize("name", ("mini/htcl_egopose", "mini/temporal_baseline"))
@pytest.mark.parametrize("num_frames", (2, 3))
def test_number_of_frames(name, num_frames, kitti_tree):
    cfg = tiny(name, kitti_tree, num_history=num_frames - 1)
    batch = samples(cfg, "train_dataloader")
    assert len(batch[0]["inputs"]["frames"]) == num_frames
    check_finite(*train_step(cfg, batch))


@pytest.mark.parametrize("name", ("mini/htcl_egopose", "mini/temporal_baseline"))
def test_other_image_and_grid(name, kitti_tree):
    near = (0.0, -12.8, -2.0, 25.6, 12.8, 4.4)
    cfg = tiny(name, kitti_tree, (64, 96), near, voxel_size=1.6, grid_size=(48, 40, 12))
    model, logged = train_step(cfg, samples(cfg, "train_dataloader"))
    check_finite(model, logged)
    model.eval()
    with torch.no_grad():
        (sample,) = model.test_step(pseudo_collate(samples(cfg, "val_dataloader")))
    assert sample.pred_voxels.semantics.shape == (48, 40, 12)
    assert sample.depth_plane.shape == (8, 12)


@pytest.mark.parametrize("name", ("mini/htcl_egopose", "mini/temporal_baseline"))
def test_bfloat16(name, kitti_tree):
    # Eight voxels high: torch's bfloat16 convolution on a CPU now and then returns garbage where
    # a stride takes a side of two to one.
    near = (0.0, -12.8, -2.0, 25.6, 12.8, 4.4)
    cfg = tiny(name, kitti_tree, point_cloud_range=near, voxel_size=0.8)
    check_finite(*train_step(cfg, samples(cfg, "train_dataloader"), torch.bfloat16))


@pytest.mark.parametrize("case", ("no_point_in_view", "no_point", "no_valid_voxel"))
def test_nothing_to_learn_from(case, kitti_tree):
    cfg = tiny("mini/htcl_egopose", kitti_tree)
    batch = samples(cfg, "train_dataloader")
    inputs = batch[0]["inputs"]
    if case == "no_valid_voxel":
        batch[0]["data_samples"].gt_voxels.semantics.fill_(255)
    else:
        inputs["depth_map"].zero_()
        inputs["point_uvd"] = inputs["point_uvd"] * 0 + torch.tensor([5.0, 5.0, 0.0])
    if case == "no_point":
        for key in ("points", "point_labels", "point_uvd"):
            inputs[key] = inputs[key][:0]
    _, logged = train_step(cfg, batch)
    assert all(torch.isfinite(value) for value in logged.values())


def test_full_size_starts_from_pretrained_backbone():
    backbone = load("semantickitti/temporal_baseline").model.img_backbone
    assert backbone.init_cfg.type == "Pretrained"


def test_data_root_from_environment(monkeypatch):
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("SEMANTICKITTI_ROOT", "/somewhere/kitti")
        patch.setenv("MINI_KITTI_ROOT", "/somewhere/mini")
        full, mini = load("semantickitti/htcl_mono"), load("mini/htcl_mono")
    assert full.train_dataloader.dataset.data_root == "/somewhere/kitti"
    assert mini.test_dataloader.dataset.data_root == "/somewhere/mini"
