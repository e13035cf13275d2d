"""Every shipped config: it builds, its size is pinned, and at toy size it trains and predicts.

Shape letters: B batch, T frame, X Y Z voxel.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import (
    DATASETS,
    MODELS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    init_default_scope,
)

from htcl.config import load_config
from htcl.engine.training_memory import estimate_training_memory
from htcl.geometry import ImageTransform
from htcl.models.interfaces import required_inputs

FOLDER = Path(__file__).resolve().parents[1] / "projects" / "configs" / "occupancy"

# Parameters, and those of them that are trained.
PARAMETERS = {
    "semantickitti/htcl_egopose": (162_278_281, 162_278_281),
    # 12.5 million in the frozen pose net.
    "semantickitti/temporal_baseline": (174_778_773, 162_278_281),
    "semantickitti/stereoscene": (158_908_630, 158_908_630),
    "semantickitti/htcl_mono": (153_789_028, 153_789_028),
    "semantickitti/htcl_plus": (162_406_829, 162_406_829),
    "semantickitti/htcl_points": (162_406_829, 162_406_829),
    "semantickitti/depth_stage": (158_887_990, 158_887_990),
    # A class less than SemanticKITTI.
    "kitti360/htcl_egopose": (162_277_704, 162_277_704),
    "kitti360/htcl_no_lidar": (161_802_099, 161_802_099),
    # No stereo, a ResNet-50.
    "openoccupancy/htcl_m": (96_508_228, 96_498_692),
    "occ3d/htcl_m": (96_508_805, 96_499_269),
    "mini/openoccupancy": (1_974_656, 1_974_656),
    "mini/occ3d": (1_974_737, 1_974_737),
    "mini/kitti360": (2_301_664, 2_301_664),
    "mini/htcl_egopose": (2_301_745, 2_301_745),
    "mini/htcl_plus": (2_311_709, 2_311_709),
    "mini/htcl_plus_streets": (2_311_709, 2_311_709),
    "mini/htcl_points": (2_311_709, 2_311_709),
    "mini/depth_stage": (2_068_266, 2_068_266),
    "mini/temporal_baseline": (14_802_237, 2_301_745),
    "mini/stereoscene": (2_061_042, 2_061_042),
    "mini/htcl_mono": (1_738_572, 1_738_572),
}
FULL = [name for name in PARAMETERS if name.startswith("semantickitti")]
KITTI360 = [name for name in PARAMETERS if "kitti360" in name]
SURROUND = [name for name in PARAMETERS if "openoccupancy" in name or "occ3d" in name]
MINI = [name for name in PARAMETERS if name.startswith("mini/") and name not in KITTI360 + SURROUND]
LOADERS = ("train_dataloader", "val_dataloader")


def load(name: str, words: list[str] | None = None, **options):
    cfg = load_config(FOLDER / f"{name}.py", words or options)
    init_default_scope(cfg.default_scope)
    return cfg


def tiny(
    name: str,
    data_root: Path,
    size: tuple[int, int] = (32, 64),
    point_cloud_range: tuple[float, ...] = (0.0, -25.6, -2.0, 51.2, 25.6, 4.4),
    label_size: float = 1.6,
    voxel_size: float = 1.6,
    **options,
):
    """A mini config with small images and volumes, changed as a user would by --cfg-options."""
    grid = {"point_cloud_range": point_cloud_range, "voxel_size": label_size}
    options |= {
        "data_root": str(data_root),
        "specification": {"base": "SemanticKITTI", "grid": grid},
        "input_size": size,
        "history_stride": 5,
        "train_sequences": ("00",),
        "val_sequences": ("08",),
        "model.view_transformer.voxel_size": voxel_size,
    }
    if "mono" not in name:
        options |= {"model.stereo.input_size": (48, 72), "model.stereo.max_disparity": 24}
    return load(name, **options)


def samples(cfg, loader: str, count: int = 1) -> list[dict]:
    inputs = required_inputs(cfg.model, training=loader == "train_dataloader")
    dataset = DATASETS.build({**cfg[loader].dataset, "inputs": sorted(inputs)})
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


def _gives_depth(parameter: str) -> bool:
    """Whether a depth stage trains a parameter: the context is for the voxels."""
    parts = ("img_backbone", "img_neck", "depth_net", "stereo", "depth_fusion")
    return parameter.startswith(parts) and not parameter.startswith("depth_net.context")


def check_finite(model, logged) -> None:
    depth_only = all(loss.on == "depth" for loss in model.losses)
    broken = [name for name, value in logged.items() if not torch.isfinite(value)]
    assert not broken, f"not finite: {broken}"
    bad = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
        and (not depth_only or _gives_depth(name))
        and (parameter.grad is None or not torch.isfinite(parameter.grad).all())
    ]
    assert not bad, f"without a finite gradient: {bad[:10]}"


def test_table_is_complete():
    shipped = {path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.py")}
    assert shipped == set(PARAMETERS)


@pytest.mark.parametrize("name", FULL + KITTI360 + SURROUND)
def test_full_size_parameters(name, monkeypatch):
    # On the meta device nothing is allocated. Values read there mean nothing: the drop path rates
    # of mmdet's EfficientNet, and the class weights, which are no parameters.
    monkeypatch.setattr(torch.Tensor, "item", lambda tensor: 0.0)
    cfg = load(name, class_weights=None)
    with torch.device("meta"):
        model = MODELS.build(cfg.model)
    assert count_parameters(model) == PARAMETERS[name]
    assert required_inputs(model, training=True) == required_inputs(cfg.model, training=True)


@pytest.mark.parametrize("name", FULL)
def test_full_size_data(name, kitti_tree):
    options = {"data_root": str(kitti_tree), "train_sequences": "00", "val_sequences": 8}
    cfg = load(name, **options)
    (sample,) = samples(cfg, "val_dataloader")
    inputs = sample["inputs"]
    # The images of the small tree are enlarged, as any image is.
    assert inputs["images"].shape == (1, 3, 384, 1280)
    assert sample["data_samples"].gt_voxels.semantics.shape == (256, 256, 32)
    assert ("right" in inputs) == (cfg.model.stereo is not None)
    assert ("history" in inputs) == (cfg.model.temporal is not None)
    by_poses = cfg.model.temporal is not None and cfg.model.temporal.pose.type == "EgoPose"
    assert ("current_from_history" in inputs) == by_poses
    assert "points" not in inputs
    (trained,) = samples(cfg, "train_dataloader")
    assert {"points", "point_labels", "point_uvd", "depth_maps"} <= set(trained["inputs"])


@pytest.mark.parametrize("name", KITTI360)
def test_data_of_kitti360(name, kitti360_tree):
    """Classes, loaders, images and labels follow from the data set; the test drive has labels."""
    cfg = load(name, data_root=str(kitti360_tree), train_sequences="00")
    loaders = {"train": "train", "val": "val", "test": "test", "submission": "test"}
    splits = {key: cfg[f"{key}_dataloader"].dataset.split for key in loaders}
    assert splits == loaders
    size = (96, 320) if name.startswith("mini") else (384, 1408)
    for loader in (*LOADERS, "test_dataloader"):
        (sample,) = samples(cfg, loader)
        assert sample["inputs"]["images"].shape == (1, 3, *size)
        assert {"right", "history", "current_from_history"} <= set(sample["inputs"])
        training = loader == "train_dataloader"
        lidar = {"points", "point_labels", "depth_maps"} & set(sample["inputs"])
        assert len(lidar) == (3 if training and "no_lidar" not in name else 0)
        labels = sample["data_samples"].gt_voxels.semantics
        assert labels.shape == (256, 256, 32) and int(labels[labels < 255].max()) == 17


@pytest.mark.parametrize("name", SURROUND)
def test_data_of_six_cameras(name, surround_streets):
    """Images, grid and masks follow from the benchmark; the loss of Occ3D sees what cameras see."""
    cfg = load(name, data_root=str(surround_streets))
    size = (128, 224) if name.startswith("mini") else (896, 1600)
    (sample,) = samples(cfg, "val_dataloader")
    inputs, truth = sample["inputs"], sample["data_samples"].gt_voxels
    assert inputs["images"].shape == (6, 3, *size)
    assert inputs["history"].shape == (cfg.num_history, 6, 3, *size)
    assert "right" not in inputs
    edge = 0.8 if name.startswith("mini") else 0.2 if "openoccupancy" in name else 0.4
    box = (102.4, 102.4, 8.0) if "openoccupancy" in name else (80.0, 80.0, 6.4)
    assert truth.semantics.shape == tuple(round(side / edge) for side in box)
    assert ("mask_camera" in truth) == ("occ3d" in name)
    assert cfg.model.get("label_mask") == ("mask_camera" if "occ3d" in name else None)


def test_whole_image_of_nuscenes():
    """900 rows of 1600 pixels lose their upper four."""
    fit = ImageTransform.fit((900, 1600), load("openoccupancy/htcl_m").input_size)
    assert (fit.resized, fit.top, fit.left) == ((900, 1600), 4, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "gib"),
    [("openoccupancy/htcl_m", 18.5), ("occ3d/htcl_m", 18.5), ("kitti360/htcl_egopose", 8.0)],
)
def test_full_size_of_other_benchmarks_fits(name, gib):
    """A training step at batch 1: forwards and backwards by shapes alone, at most 24 GiB."""
    found = estimate_training_memory(load(name), amp="bfloat16")
    assert found.fits
    assert found.peak_bytes < gib * 2**30


def test_whole_image_of_kitti360():
    """376 rows of 1408 pixels stay as they are, below eight black ones."""
    fit = ImageTransform.fit((376, 1408), load("kitti360/htcl_egopose").input_size)
    assert (fit.resized, fit.top, fit.left) == ((376, 1408), -8, 0)


def structure(config, path=()):
    """Every key path with what is no number: types, names, choices."""
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield from structure(value, (*path, key))
    elif isinstance(config, list | tuple) and any(isinstance(v, Mapping) for v in config):
        for index, value in enumerate(config):
            yield from structure(value, (*path, index))
    else:
        values = config if isinstance(config, list | tuple) else [config]
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        yield path, None if numbers else config


@pytest.mark.parametrize(
    "name", [name.removeprefix("mini/") for name in MINI if not name.endswith("_streets")]
)
def test_mini_is_the_full_size_graph(name):
    """Key by key: the mini networks differ from the full-size ones in numbers alone."""
    full, mini = (load(f"{folder}/{name}").model for folder in ("semantickitti", "mini"))
    for model in (full, mini):
        # Another backbone, since B7's weights are a download; weights by class for short trainings;
        # nothing to save memory in.
        del model["img_backbone"], model["checkpointing"]
        model["losses"][0].pop("class_weights", None)
    assert dict(structure(mini)) == dict(structure(full))


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
    cfg = tiny(name, kitti_tree, label_size=0.8)
    model = MODELS.build(cfg.model).eval()
    with torch.no_grad():
        predictions = model.test_step(pseudo_collate(samples(cfg, "val_dataloader", 2)))
    assert [sample.frame for sample in predictions] == ["000000", "000005"]
    for sample in predictions:
        semantics = sample.pred_voxels.semantics
        assert semantics.shape == (64, 64, 8)
        assert semantics.dtype == torch.uint8
        assert semantics.max() < 20


WITH_HISTORY = (
    "mini/htcl_egopose",
    "mini/htcl_plus",
    "mini/htcl_points",
    "mini/temporal_baseline",
)


@pytest.mark.parametrize("name", WITH_HISTORY)
@pytest.mark.parametrize("num_history", (1, 2))
def test_number_of_frames(name, num_history, kitti_tree):
    cfg = tiny(name, kitti_tree, num_history=num_history)
    batch = samples(cfg, "train_dataloader")
    assert len(batch[0]["inputs"]["history"]) == num_history
    assert cfg.submission_dataloader.dataset.num_history == num_history
    check_finite(*train_step(cfg, batch))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["history_stride=1,2,5"], [5, 8, 9]),
        (["history_metres=2.0"], [4, 6, 8]),
        (["history_metres=3", "history_max_frames=5"], [5, 5, 7]),
    ],
)
def test_spacing_of_the_history(words, expected, kitti_tree):
    """One key on the command line; the car of the fixture drives 1.005 m a frame."""
    cfg = load("mini/htcl_egopose", words=[*words, f"data_root={kitti_tree}", "val_sequences=08"])
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    (camera,) = dataset.get_data_info(2)["cameras"]
    assert [int(Path(path).stem) for path in camera["history"]] == expected
    assert cfg.submission_dataloader.dataset.history_stride == cfg.history_stride


@pytest.mark.parametrize("name", WITH_HISTORY)
def test_other_image_and_grid(name, kitti_tree):
    near = (0.0, -12.8, -2.0, 25.6, 12.8, 4.4)
    cfg = tiny(name, kitti_tree, (64, 96), near, label_size=0.4)
    model, logged = train_step(cfg, samples(cfg, "train_dataloader"))
    check_finite(model, logged)
    model.eval()
    with torch.no_grad():
        (sample,) = model.test_step(pseudo_collate(samples(cfg, "val_dataloader")))
    assert sample.pred_voxels.semantics.shape == (64, 64, 16)
    assert sample.depth_plane.shape == (1, 8, 12)


def test_depth_from_files(kitti_tree, tmp_path):
    """External depth of present and history in the place of the stereo branch."""
    folder = tmp_path / "sequences" / "00" / "depth_2"
    folder.mkdir(parents=True)
    for image in (kitti_tree / "sequences" / "00" / "image_2").iterdir():
        np.savez(folder / f"{image.stem}.npz", depth=np.full((19, 62), 12.0, np.float32))
    cfg = tiny("mini/htcl_points", kitti_tree, depth_root=str(tmp_path))
    cfg.model.stereo = {"type": "GivenDepth"}
    batch = samples(cfg, "train_dataloader")
    assert "right" not in batch[0]["inputs"]
    assert batch[0]["inputs"]["history_depth_prior"].shape == (3, 1, 48, 4, 8)
    model, logged = train_step(cfg, batch)
    check_finite(model, logged)


def test_other_classes(kitti_tree):
    """Twelve classes are one key: head, losses, labels and scores follow."""
    merge = {
        "vehicle": ["car", "truck", "other-vehicle", "motorcycle", "bicycle"],
        "human": ["person", "bicyclist", "motorcyclist"],
        "ground": ["parking", "other-ground"],
        "thin": ["trunk", "pole"],
    }
    grid = {"point_cloud_range": (0.0, -25.6, -2.0, 51.2, 25.6, 4.4), "voxel_size": 1.6}
    specification = {"base": "SemanticKITTI", "merge": merge, "grid": grid}
    cfg = tiny("mini/htcl_mono", kitti_tree, class_weights=None)
    cfg.model.specification = specification
    for loader in LOADERS:
        cfg[loader].dataset.specification = specification
    model, logged = train_step(cfg, samples(cfg, "train_dataloader"))
    check_finite(model, logged)
    assert model.head.classifier.out_channels == 12
    (sample,) = samples(cfg, "val_dataloader")
    labels = sample["data_samples"].gt_voxels.semantics
    assert set(labels.unique().tolist()) - {255} <= set(range(12))


@pytest.mark.parametrize("name", WITH_HISTORY)
def test_bfloat16(name, kitti_tree):
    # Eight voxels high: torch's bfloat16 convolution on a CPU now and then returns garbage where
    # a stride takes a side of two to one.
    near = (0.0, -12.8, -2.0, 25.6, 12.8, 4.4)
    cfg = tiny(name, kitti_tree, point_cloud_range=near, voxel_size=0.8)
    check_finite(*train_step(cfg, samples(cfg, "train_dataloader"), torch.bfloat16))


@pytest.mark.parametrize("case", ("no_point_in_view", "no_point", "no_valid_voxel"))
def test_nothing_to_learn_from(case, kitti_tree):
    cfg = tiny("mini/htcl_plus", kitti_tree)
    batch = samples(cfg, "train_dataloader")
    inputs = batch[0]["inputs"]
    if case == "no_valid_voxel":
        batch[0]["data_samples"].gt_voxels.semantics.fill_(255)
    else:
        inputs["depth_maps"].zero_()
        inputs["point_uvd"] = inputs["point_uvd"] * 0 + torch.tensor([5.0, 5.0, 0.0])
    if case == "no_point":
        inputs["points"], inputs["point_labels"] = inputs["points"][:0], inputs["point_labels"][:0]
        inputs["point_uvd"] = inputs["point_uvd"][:, :0]
    _, logged = train_step(cfg, batch)
    assert all(torch.isfinite(value) for value in logged.values())


def rates(cfg, steps_per_epoch: int) -> np.ndarray:
    """Learning rate of every step of a training."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = OPTIMIZERS.build({**cfg.optim_wrapper.optimizer, "params": [weight]})
    (settings,) = cfg.param_scheduler
    build = PARAM_SCHEDULERS.get(settings.type).build_iter_from_epoch
    options = {k: v for k, v in settings.items() if k not in ("type", "convert_to_iter_based")}
    schedule = build(optimizer, epoch_length=steps_per_epoch, **options)
    found = []
    for _ in range(steps_per_epoch * cfg.max_epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return np.array(found)


def test_one_cycle_goes_by_samples():
    """Half the steps a pass, as twice the batch has: the same rate after as many samples."""
    cfg = load("semantickitti/htcl_points")
    few, many = rates(cfg, 40), rates(cfg, 80)
    assert many.max() == pytest.approx(3e-4, rel=1e-3)
    # A twentieth of the way up, then down to nothing.
    assert np.argmax(many) / len(many) == pytest.approx(0.05, abs=0.002)
    assert many[0] == pytest.approx(3e-4 / 25)
    assert many[-1] < 1e-7
    np.testing.assert_allclose(few[10:-10], many[20:-20:2], rtol=0.05, atol=1e-6)


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
